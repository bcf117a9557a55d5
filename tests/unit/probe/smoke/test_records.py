"""What a rank leaves behind is read as it wrote it, whatever a kill cut."""

from __future__ import annotations

from pathlib import Path

from knowngood.probe.smoke.records import Notes, Rank, read


def test_a_ranks_records_its_device_and_where_it_stands(tmp_path: Path) -> None:
    with Notes(tmp_path, 0) as notes:
        notes.say("hello", device="not this one")
        notes.say("identity", device="GPU-7")
        notes.say("load", tokensPerSecond=1.5)
        notes.at("load, window 0")
        notes.at("load done")
    first, second = read(tmp_path, 2)
    assert (first.number, first.device, first.name) == (0, "GPU-7", "rank 0 (GPU-7)")
    assert (first.count, first.stage) == (2, "load done")
    assert first.last("load") == {"kind": "load", "tokensPerSecond": 1.5}
    assert (second, second.name, second.last("load")) == (Rank(1), "rank 1", {})


def test_a_line_that_a_kill_cut_is_left_out_and_the_others_count(tmp_path: Path) -> None:
    lines = '{"kind": "load", "n": 1}\n[]\n\xff\n{"kind": "load", "n": 2}\n{"kind": "lo'
    (tmp_path / "rank-0.jsonl").write_text(lines)
    (tmp_path / "rank-0.at").write_text("   x load")
    (tmp_path / "rank-1.jsonl").write_text('{"kind": "identity"}\n')
    assert read(tmp_path, 2)[1].device == "", "it told none"
    (rank,) = read(tmp_path, 1)
    assert ([one["n"] for one in rank.of("load")], rank.last("load")["n"]) == ([1, 2], 2)
    assert (rank.count, rank.device) == (0, "")


def test_a_stage_is_cut_and_the_newer_one_replaces_it_whole(tmp_path: Path) -> None:
    with Notes(tmp_path, 0) as notes:
        notes.at("x" * 200)
        assert (tmp_path / "rank-0.at").stat().st_size == 64
        notes.at("short")
    (rank,) = read(tmp_path, 1)
    assert (rank.count, rank.stage) == (2, "short")


def test_what_a_rank_of_another_node_said_never_replaces_what_one_of_ours_wrote(tmp_path: Path) -> None:
    with Notes(tmp_path, 0) as notes:
        notes.say("done")
        notes.adopt(0, [{"kind": "error"}])
        notes.adopt(1, [{"kind": "done"}, {"kind": "load"}])
    ours, theirs = read(tmp_path, 2)
    assert [r["kind"] for r in ours.records] == ["done"]
    assert [r["kind"] for r in theirs.records] == ["done", "load"]
