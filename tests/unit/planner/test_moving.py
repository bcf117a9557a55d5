"""A version and the fields that declare it: one way and the other."""

import pytest

from knowngood.model.errors import UsageError
from knowngood.model.mover import MoverSpec
from knowngood.planner.moving import shown, unnamed, version_of

DRIVER = MoverSpec(
    kind="daemon-driver",
    fields={
        "Driver": {"spec.version": "{version}"},
        "Policy": {
            "spec.driver.version": "{version}",
            "spec.driver.tag": "v{version}-slim",
            "spec.on": "yes",
        },
    },
)
SETTING = MoverSpec(
    kind="daemon-driver",
    fields={"Driver": {"spec.rdma.enabled": "{version}"}},
    values={"dma-buf": "false", "nvidia-peermem": "true"},
)
OPERATOR = MoverSpec(
    kind="olm-v0",
    fields={"Subscription": {"spec.channel": "v{minor}", "spec.startingCSV": "thing-certified.v{version}"}},
)


@pytest.mark.parametrize(
    ("spec", "kind", "version", "texts"),
    [
        (DRIVER, "Driver", "595.91.07", {"spec.version": "595.91.07"}),
        (
            DRIVER,
            "Policy",
            "595.91.07",
            {"spec.driver.version": "595.91.07", "spec.driver.tag": "v595.91.07-slim", "spec.on": "yes"},
        ),
        (SETTING, "Driver", "dma-buf", {"spec.rdma.enabled": "false"}),
        (
            OPERATOR,
            "Subscription",
            "26.7.0",
            {"spec.channel": "v26.7", "spec.startingCSV": "thing-certified.v26.7.0"},
        ),
    ],
)
def test_what_is_shown_is_read_again(spec: MoverSpec, kind: str, version: str, texts: dict[str, str]) -> None:
    assert shown(spec, kind, version) == texts
    assert version_of(spec, kind, texts) == version


def test_one_field_is_enough_to_tell_and_none_tells_nothing() -> None:
    assert version_of(DRIVER, "Policy", {"spec.driver.tag": "v1.2-slim"}) == "1.2"
    assert version_of(DRIVER, "Driver", {"spec.version": ""}) == ""
    assert version_of(DRIVER, "Driver", {"spec.other": "x"}) == ""


RELEASE = MoverSpec(
    kind="cluster-version",
    fields={"Release": {"spec.channel": "{channel}", "spec.version": "{version}", "spec.image": "{image}"}},
)
IMAGES = {"4.19.42": "mirror/ocp@sha256:1"}


def test_an_image_is_the_cluster_files_and_says_nothing_of_its_version() -> None:
    texts = shown(RELEASE, "Release", "4.19.42", IMAGES)
    assert texts == {
        "spec.channel": "stable-4.19",
        "spec.version": "4.19.42",
        "spec.image": "mirror/ocp@sha256:1",
    }
    assert version_of(RELEASE, "Release", texts) == "4.19.42"
    other = shown(RELEASE, "Release", "4.19.42", IMAGES, "eus-4.20")
    assert other == {**texts, "spec.channel": "eus-4.20"}
    assert version_of(RELEASE, "Release", other) == "4.19.42", "nor does the channel that it is offered in"
    assert version_of(RELEASE, "Release", {"spec.image": "mirror/ocp@sha256:1"}) == ""


def test_an_image_that_nobody_names_is_asked_for() -> None:
    assert unnamed(RELEASE, "Release", "4.19.43", IMAGES)
    assert not unnamed(RELEASE, "Release", "4.19.42", IMAGES)
    assert not unnamed(DRIVER, "Driver", "595.91.07", {})
    with pytest.raises(UsageError, match=r"no image of 4\.19\.43 is named") as caught:
        shown(RELEASE, "Release", "4.19.43", IMAGES)
    assert "under `images`" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "kind", "texts", "words"),
    [
        (DRIVER, "Policy", {"spec.driver.tag": "1.2"}, "is no version that its mover knows"),
        (DRIVER, "Policy", {"spec.driver.tag": "v-slim"}, "is no version that its mover knows"),
        (DRIVER, "Policy", {"spec.driver.version": "1", "spec.driver.tag": "v2-slim"}, "is no version"),
        (DRIVER, "Policy", {"spec.driver.version": "1", "spec.on": "no"}, "is no version"),
        (SETTING, "Driver", {"spec.rdma.enabled": "maybe"}, "is no version that its mover knows"),
        (OPERATOR, "Subscription", {"spec.channel": "v26.7"}, "is no version that its mover knows"),
        (
            OPERATOR,
            "Subscription",
            {"spec.channel": "v26.3", "spec.startingCSV": "thing-certified.v26.7.0"},
            "is no version that its mover knows",
        ),
    ],
)
def test_fields_that_no_version_has_are_an_error(
    spec: MoverSpec, kind: str, texts: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        version_of(spec, kind, texts)


def test_a_text_that_stands_for_two_versions_tells_neither() -> None:
    twice = MoverSpec(fields={"D": {"a": "{version}"}}, values={"x": "same", "y": "same"})
    with pytest.raises(UsageError, match="may be x or y"):
        version_of(twice, "D", {"a": "same"})


def test_what_a_mover_does_not_know_is_not_declared() -> None:
    with pytest.raises(UsageError, match="no mover knows Strange"):
        shown(DRIVER, "Strange", "1")
    with pytest.raises(UsageError, match="no value for magic"):
        shown(SETTING, "Driver", "magic")
