from pathlib import Path

from prytany.drivers.stores.sqlite import SqliteStore
from prytany.testing.store_suite import StoreSuite, chain_of, store_machine


def open_store(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "journal.db", reserve_bytes=1 << 16)


class TestSqliteStore(StoreSuite):
    def open(self, folder: Path) -> SqliteStore:
        return open_store(folder)

    def test_every_file_is_private(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        store.commit(chain_of([b"a"]), [])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
        assert {"journal.db", "journal.db-wal", "journal.db-shm", "reserve"} <= set(modes)
        assert set(modes.values()) == {0o600}


TestSqliteMachine = store_machine(open_store).TestCase
