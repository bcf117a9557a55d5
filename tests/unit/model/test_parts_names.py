"""By what names a waiver may know a NIC or its port, and what was meant by one that it may not."""

from __future__ import annotations

import pytest

from knowngood.model.parts import is_nic, meant_nic


@pytest.mark.parametrize(
    "name",
    [
        *("0000:9c:00.0", "9c:00.0", "00000000:9C:00.0", "0000:9c:00.0/1", "0000:9c:00.1/2"),
        *("e8eb:d303:00a7:1234", "E8EB:D303:00A7:1234/1"),
    ],
)
def test_an_address_a_guid_and_a_port_of_either_name_a_part(name: str) -> None:
    assert is_nic(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("0000:9c:00", "0000:9c:00.0"),
        ("0000:9c:00/1", "0000:9c:00.0/1"),
        ("0000:9c:00.0:1", "0000:9c:00.0/1"),
        ("0xe8ebd30300a71234", "e8eb:d303:00a7:1234"),
        ("E8EBD30300A71234/2", "e8eb:d303:00a7:1234/2"),
        (" 0000:9c:00.0 ", "0000:9c:00.0"),
        *(("0000:9c:00.0/0", ""), ("0000:9c:00.0/one", ""), ("0000:9c:00.0/", ""), ("0000:9c:00.9", "")),
        *(("mlx5_3", ""), ("mlx5_3/1", ""), ("the third port", ""), ("", "")),
        ("GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a71", ""),
    ],
)
def test_any_other_text_names_none_and_what_was_meant_is_said_where_it_is_one_thing(
    name: str, meant: str
) -> None:
    assert not is_nic(name)
    assert meant_nic(name) == meant
