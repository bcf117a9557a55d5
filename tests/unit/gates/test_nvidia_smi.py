"""What nvidia-smi prints is read as it was printed, and what can't be read is never taken for healthy."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster import nvidia_smi
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.driver import links_of, report_of

from .smi import PCIE, SXM, edited, printed

# https://github.com/a0s/nvidia-smi-exporter/issues/1, cut to one GPU: a document of 2019, in tabs.
OLD = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v10.dtd">
<nvidia_smi_log>
\t<timestamp>Wed Oct  2 01:13:19 2019</timestamp>
\t<driver_version>430.26</driver_version>
\t<cuda_version>10.2</cuda_version>
\t<attached_gpus>1</attached_gpus>
\t<gpu id="00000000:01:00.0">
\t\t<product_name>GeForce GTX 1080</product_name>
\t\t<persistence_mode>Disabled</persistence_mode>
\t\t<uuid>GPU-90e3dab0-b59d-8bf6-d909-d4fab8d2f29b</uuid>
\t\t<inforom_version>
\t\t\t<img_version>G001.0000.01.04</img_version>
\t\t</inforom_version>
\t</gpu>
</nvidia_smi_log>
"""
# https://github.com/bottlerocket-os/bottlerocket/pull/4418, cut to three links.
LINKS = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-4039dfe4-0c97-4b1e-683e-eb7d42699053)
         Link 0: 26.562 GB/s
         Link 1: 26.562 GB/s
         Link 17: 26.562 GB/s
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-dd3b269a-8f3a-d2d5-1518-2713ba03fcf7)
         Link 0: <inactive>
         Link 1: 26.562 GB/s
"""


def test_a_published_document_is_read() -> None:
    report = nvidia_smi.parse(OLD)
    (gpu,) = report.gpus
    assert (report.driver, gpu.address) == ("430.26", "0000:01:00.0")
    assert gpu.uuid == "GPU-90e3dab0-b59d-8bf6-d909-d4fab8d2f29b"
    assert gpu.told("persistence") == "Disabled"
    assert gpu.told("inforom") == "G001.0000.01.04"
    assert gpu.told("ecc") == ""


def test_published_links_are_read() -> None:
    first, second = nvidia_smi.links(LINKS).values()
    assert (first.up, first.rates[17]) == (3, 26.562)
    assert (second.up, second.rates[0], second.told) == (1, 0.0, True)


def test_the_older_name_of_a_reading_is_known() -> None:
    text = printed().replace("clocks_event_reason", "clocks_throttle_reason")
    assert nvidia_smi.parse(text).gpus[0].told("hwSlowdown") == "Not Active"


def test_a_gpu_without_links_has_told_that() -> None:
    assert {
        (found.up, found.told) for found in nvidia_smi.links(printed(PCIE, ("nvlink", "-s"))).values()
    } == {(0, True)}
    silent = nvidia_smi.links("GPU 0: NVIDIA H200 (UUID: GPU-4039dfe4-0c97-4b1e-683e-eb7d42699053)\n")
    assert [found.told for found in silent.values()] == [False]


ENTITY = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd" [<!ENTITY a "aaaaaaaa">]>'
DTD = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "does not begin"),
        (printed().replace(DTD, ENTITY), "does not begin"),
        (printed().replace(DTD, ""), "does not begin"),
        (printed().replace("<nvidia_smi_log>", "<nvidia_smi_log><![CDATA[x]]>"), "declaration"),
        (printed().replace("<nvidia_smi_log>", "<nvidia_smi_log>&a;"), "well-formed"),
        (printed()[:4000], "breaks off"),
        (printed().replace("<attached_gpus>8", "<attached_gpus>9"), "says 9"),
        (printed().replace("<attached_gpus>8</attached_gpus>", ""), "says nothing"),
        (
            edited(printed(), "<uuid>GPU-", "<uuid></uuid><was>GPU-").replace("</uuid>", "</was>", 1),
            "well-formed",
        ),
        (printed() + "x" * nvidia_smi.MAX_CHARS, "longer"),
        (f'<?xml version="1.0" ?>{DTD}{"<nvidia_smi_log>" * 3}{"</nvidia_smi_log>" * 3}', "says nothing"),
    ],
)
def test_what_is_no_whole_document_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nvidia_smi.parse(text)


def test_a_process_can_add_no_gpu_and_hide_no_reading() -> None:
    """A tenant chooses its processes' names; should the tool print one as it is, it may break out of its element."""
    name = "</gpu><gpu id='1'><uuid>GPU-x</uuid>"
    with pytest.raises(ValueError, match="describes 9"):
        nvidia_smi.parse(printed().replace("<compute_mode>Default", f"{name}<compute_mode>Default", 1))
    more = "<remapped_rows><remapped_row_pending>No</remapped_row_pending></remapped_rows></gpu>"
    report = nvidia_smi.parse(printed(ailment="row-remap-pending").replace("</gpu>", more))
    assert "remapPending" in report.gpus[2].doubled
    assert report.gpus[2].told("remapPending") == ""


def test_two_gpus_of_one_uuid_are_refused() -> None:
    first, second = (gpu.uuid for gpu in nvidia_smi.parse(printed()).gpus[:2])
    with pytest.raises(ValueError, match="one UUID"):
        nvidia_smi.parse(printed().replace(second, first))


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("16x", 16), ("5", 5), ("-1", None), ("1" * 100_000, None), ("N/A", None), ("", None)],
)
def test_a_number_is_one_or_none(text: str, number: int | None) -> None:
    assert nvidia_smi.Gpu("u", "a", {"pcieWidth": text}).number("pcieWidth") == number


@pytest.mark.parametrize("text", ["N/A", "[N/A]", "[Not Supported]", "ERR!", "[Unknown Error]", ""])
def test_a_word_for_none_is_no_value(text: str) -> None:
    assert nvidia_smi.Gpu("u", "a", {"ecc": text}).told("ecc") == ""


def test_mig_devices_are_read_with_their_places() -> None:
    """https://github.com/mahendrapaipuri/ceems, pkg/collector tests: the elements of a MIG device."""
    device = "<mig_device><index>0</index><gpu_instance_id>5</gpu_instance_id><compute_instance_id>0"
    device += "</compute_instance_id><fb_memory_usage><total>16384 MiB</total></fb_memory_usage></mig_device>"
    text = edited(printed(), "<mig_devices>None</mig_devices>", f"<mig_devices>{device}</mig_devices>")
    assert nvidia_smi.parse(text).gpus[0].instances == (nvidia_smi.Instance(5, 0, 16384),)


def test_the_list_names_the_profile_of_each_mig_device() -> None:
    """The form of `nvidia-smi -L` in NVIDIA's MIG user guide."""
    gpu, first, second = (
        f"{kind}-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a7{n}" for kind, n in (("GPU", 1), ("MIG", 2), ("MIG", 3))
    )
    text = f"GPU 0: NVIDIA H200 (UUID: {gpu})\n"
    text += f"  MIG 3g.71gb     Device  0: (UUID: {first})\n  MIG 1g.18gb+me  Device  1: (UUID: {second})\n"
    assert nvidia_smi.slices(text) == {gpu: {first: "3g.71gb", second: "1g.18gb+me"}}


@pytest.mark.parametrize(
    ("ran", "trouble", "wrong"),
    [
        ("no driver pod runs on it", "could not be asked", ""),
        (Ran("NVIDIA-SMI has failed", "", 9), "ended with 9", ""),
        (Ran("Failed to initialize NVML: Driver/library version mismatch", "", 18), "mismatch", ""),
        (Ran("", "", 0), "can't be read", ""),
        (Ran("Unable to determine the device handle", "", 15), "can't be read", "fallen off"),
        (Ran(printed(), "", 14), "", "InfoROM"),
        (Ran(printed(SXM), "", 0), "", ""),
    ],
)
def test_an_exit_code_says_what_is_wrong_or_that_nothing_is_known(
    ran: Ran | str, trouble: str, wrong: str
) -> None:
    told = report_of(ran)
    assert trouble in told.trouble
    assert bool(told.trouble) == bool(trouble)
    assert wrong in told.wrong
    assert bool(told.wrong) == bool(wrong)


def test_links_that_can_not_be_asked_for_are_trouble() -> None:
    assert links_of("no driver pod").trouble
    assert links_of(Ran("", "", 6)).trouble
    assert not links_of(Ran(LINKS, "", 0)).trouble
