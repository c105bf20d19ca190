"""What Linux says of memory, in the forms in which it does, and what it may leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.drivers.memory.linux import LinuxMemory
from prytany.ports.memory import Sample

MIB = 1 << 20
MEMINFO = f"MemTotal:       {1000 << 10} kB\nMemFree:  1 kB\nMemAvailable:   {400 << 10} kB\nHugePages_Total:       0\n"


def lay_out(at: Path, files: dict[str, str]) -> LinuxMemory:
    for name, text in files.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LinuxMemory(at / "proc", at / "cg")


def group(path: str, limit: str, used: int, idle: int) -> dict[str, str]:
    return {
        f"cg/{path}memory.max": limit + "\n", f"cg/{path}memory.current": f"{used}\n",
        f"cg/{path}memory.stat": f"anon 5\ninactive_file {idle}\nactive_file 7\n",
    }  # fmt: skip


def test_a_machine_without_limits(tmp_path: Path) -> None:
    memory = lay_out(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/user.slice/a\n",
            "proc/pressure/memory": "some avg10=12.34 avg60=0.00 total=5\nfull avg10=50.00 avg60=0 total=1\n",
        },
    )
    assert memory.sample() == Sample(400 * MIB, 1000 * MIB, 123_400)


def test_the_tightest_limit_on_the_way_up_counts_and_idle_file_pages_do_not(tmp_path: Path) -> None:
    memory = lay_out(
        tmp_path,
        {
            "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/a.slice/b.service\n",
            **group("a.slice/b.service/", "max", 90 * MIB, 0),
            **group("a.slice/", str(200 * MIB), 180 * MIB, 30 * MIB),
            "cg/a.slice/b.service/memory.pressure": "some avg10=3.00 avg60=1.00 avg300=0.00 total=1\n",
            "proc/pressure/memory": "some avg10=99.00 avg60=1.00 avg300=0.00 total=1\n",
        },
    )  # fmt: skip
    assert memory.sample() == Sample(50 * MIB, 200 * MIB, 30_000)


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    memory = lay_out(
        tmp_path,
        {
            "proc/meminfo": MEMINFO, "proc/self/cgroup": "4:cpu,memory:/docker/x\n1:cpuset:/\n0::/\n",
            "cg/memory/memory.limit_in_bytes": f"{100 * MIB}\n", "cg/memory/memory.usage_in_bytes": f"{95 * MIB}\n",
            "cg/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {2 * MIB}\n",
        },
    )  # fmt: skip
    assert memory.sample() == Sample(7 * MIB, 100 * MIB, 0)


def test_a_limit_that_is_none_or_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    memory = lay_out(
        tmp_path,
        {
            "proc/meminfo": MEMINFO, "proc/self/cgroup": "4:memory:/x\n0::/y\nnonsense\n",
            "cg/memory/x/memory.limit_in_bytes": "9223372036854771712\n", "cg/memory/x/memory.usage_in_bytes": "5\n",
            "cg/y/memory.max": "x" * 100, "cg/y/memory.current": "",
            "cg/y/memory.pressure": "some avg10=nan\n", "proc/pressure/memory": "?",
        },
    )  # fmt: skip
    assert memory.sample() == Sample(400 * MIB, 1000 * MIB, 0)


def test_a_path_that_leads_out_of_the_tree_does_not(tmp_path: Path) -> None:
    memory = lay_out(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/../../etc\n"})
    assert all(folder.resolve().is_relative_to((tmp_path / "cg").resolve()) for folder, _ in memory._groups)


@pytest.mark.parametrize("meminfo", ["", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable:\n"])
def test_nobody_can_say_where_there_is_nothing(tmp_path: Path, meminfo: str) -> None:
    assert lay_out(tmp_path, {"proc/meminfo": meminfo}).sample() is None
