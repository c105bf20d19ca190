from pathlib import Path

from prytany.drivers.stores.memory import MemoryStore
from prytany.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    def open(self, folder: Path) -> MemoryStore:
        return MemoryStore()
