"""Before anything is changed: both images are the ones that the cluster file names, and each BMC takes one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.flashing import BIOS, BMC, NEW_BIOS, USER, named, serving

from knowngood.adapters.cluster.bmc_update import way_of
from knowngood.adapters.cluster.bmcs import RedfishReader
from knowngood.model.bmcs import UNASKED
from knowngood.model.verdict import Verdict
from knowngood.twin.bmc import DELL, DMTF, Bmc

WANTED = {"bios": (BIOS, NEW_BIOS)}


async def nowhere(_cause: str) -> None:
    raise AssertionError("no host")


@pytest.fixture(autouse=True)
def _word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWNGOOD_BMC", USER)


def a_bmc(dialect: str = DELL) -> Bmc:
    return Bmc(dialect, {"bios": BIOS, "bmc": BMC}, boots=nowhere)


@pytest.mark.parametrize("dialect", [DELL, DMTF])
def test_nothing_is_found_where_all_is_there(tmp_path: Path, dialect: str) -> None:
    with serving(tmp_path, {"gpu-1": a_bmc(dialect)}) as at:
        assert RedfishReader(at.bmcs("/{node}")).ready(["gpu-1"], WANTED) == []


def test_an_image_that_is_missing_another_or_of_no_name_is_refused_and_one_that_is_away_unknown(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, {"gpu-1": a_bmc()}) as at:
        bmcs = at.bmcs("/{node}")
        del at.service.images[named("bios", NEW_BIOS)]
        at.service.images[named("bios", BIOS)] = b"another"
        other, gone = RedfishReader(bmcs).ready([], WANTED)
        assert (other.verdict, "its SHA-256 is" in str(other)) == (Verdict.FAIL, True)
        assert (gone.verdict, "is not there (404)" in str(gone)) == (Verdict.FAIL, True)
        (unnamed,) = RedfishReader(bmcs).ready([], {"bios": ("9.9",)})
        assert "none is named" in str(unnamed)
        away = replace(
            bmcs,
            images={"bios": {BIOS: replace(bmcs.images["bios"][BIOS], url="https://127.0.0.1:1/x.bin")}},
        )
        (unknown,) = RedfishReader(away).ready([], {"bios": (BIOS,)})
        assert unknown.verdict is Verdict.INCONCLUSIVE


def test_a_bmc_that_is_away_or_takes_no_image_is_told(tmp_path: Path) -> None:
    bmc = a_bmc()
    with serving(tmp_path, {"gpu-1": bmc}) as at:
        bmc.away = True
        (away,) = RedfishReader(at.bmcs("/{node}")).ready(["gpu-1"], {})
        assert (away.verdict, "the BMC of gpu-1" in str(away)) == (Verdict.INCONCLUSIVE, True)
    push = {"MultipartHttpPushUri": "/redfish/v1/UpdateService/upload"}
    assert way_of({"ServiceEnabled": False, **push}) is None
    assert way_of({}) is None
    way = way_of(push)
    assert way is not None
    assert (way.pushed, way.times) == (True, ())


def test_firmware_that_moves_where_nobody_is_named_is_refused() -> None:
    (found,) = RedfishReader(UNASKED).ready(["gpu-1"], WANTED)
    assert "nobody says who flashes bios" in str(found)
