"""LangGraph's SQLite saver on Holdfast's one writer: same tables and format, but inside our transactions.

The stock saver never rolls back: after one "database is locked" every later write fails, and a cancel in the middle of
an INSERT leaves an open transaction that the next commit publishes.  Here each call is a job of the writer thread, so
it is committed or rolled back as a whole, is not taken back when its caller is cancelled, and is refused when this
process has lost the lease of the thread that it writes.  Three methods that the stock saver lacks are added, which the
LangGraph API needs: ``adelete_for_runs``, ``acopy_thread``, ``aprune``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from holdfast.checkpoints.database import Database

T = TypeVar("T")
RUN_ID = "json_extract(CAST(metadata AS TEXT), '$.run_id')"


class Saver(SqliteSaver):
    """A checkpoint saver for sync and async graphs; its life is the database's."""

    def __init__(self, database: Database) -> None:
        # Strict whatever the environment says: else loading a checkpoint calls any callable that the file names.
        super().__init__(database.connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self.database = database
        self.is_setup = True  # the tables come with our migrations

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """A cursor inside the writer's open transaction, which commits itself."""
        with closing(self.conn.cursor()) as cursor:
            yield cursor

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._do(lambda: super(Saver, self).get_tuple(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._ado(lambda: super(Saver, self).get_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        # read to the end at once: a reader that stops half-way must not keep the transaction open
        yield from self._do(lambda: [*super(Saver, self).list(config, filter=filter, before=before, limit=limit)])

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        rows = await self._ado(lambda: [*super(Saver, self).list(config, filter=filter, before=before, limit=limit)])
        for row in rows:
            yield row

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._do(lambda: super(Saver, self).put(config, checkpoint, metadata, new_versions), _thread(config))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._ado(
            lambda: super(Saver, self).put(config, checkpoint, metadata, new_versions), _thread(config)
        )

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._do(lambda: super(Saver, self).put_writes(config, writes, task_id, task_path), _thread(config))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._ado(lambda: super(Saver, self).put_writes(config, writes, task_id, task_path), _thread(config))

    def delete_thread(self, thread_id: str) -> None:
        self._do(lambda: super(Saver, self).delete_thread(thread_id), thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._ado(lambda: super(Saver, self).delete_thread(thread_id), thread_id)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._do(lambda: self._delta_history(config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._ado(lambda: self._delta_history(config, channels))

    def _delta_history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, DeltaChannelHistory]:
        if not config["configurable"].get("checkpoint_id"):  # the parent would wait for us here
            latest = super().get_tuple(config)
            if latest is None:
                return {channel: {"writes": []} for channel in channels}
            config = latest.config
        return super().get_delta_channel_history(config=config, channels=channels)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes every checkpoint that belongs to one of these runs, with its writes."""
        ids = [str(run_id) for run_id in run_ids]
        marks = ",".join("?" * len(ids))
        chosen = f"SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints WHERE {RUN_ID} IN ({marks})"

        def delete() -> None:
            self.conn.execute(f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({chosen})", ids)
            self.conn.execute(f"DELETE FROM checkpoints WHERE {RUN_ID} IN ({marks})", ids)

        await self._ado(delete)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes of one thread to another."""
        source, target = str(source_thread_id), str(target_thread_id)

        def copy() -> None:
            self.conn.execute(
                "INSERT OR REPLACE INTO checkpoints "
                "SELECT ?, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, "
                "CASE WHEN json_extract(CAST(metadata AS TEXT), '$.thread_id') IS NULL THEN metadata "
                "ELSE CAST(json_set(CAST(metadata AS TEXT), '$.thread_id', ?) AS BLOB) END "
                "FROM checkpoints WHERE thread_id = ?",
                (target, target, source),
            )
            self.conn.execute(
                "INSERT OR REPLACE INTO writes "
                "SELECT ?, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value "
                "FROM writes WHERE thread_id = ?",
                (target, source),
            )

        await self._ado(copy, target)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all but the latest checkpoint of each namespace (``keep_latest``), or all (``delete``)."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy has to be keep_latest or delete, not {strategy!r}")
        for thread_id in map(str, thread_ids):
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self._ado(lambda thread_id=thread_id: self._keep_latest(thread_id), thread_id)  # type: ignore[misc]

    def _keep_latest(self, thread_id: str) -> None:
        latest = "SELECT checkpoint_ns, max(checkpoint_id) FROM checkpoints WHERE thread_id = ? GROUP BY checkpoint_ns"
        for table in ("writes", "checkpoints"):
            self.conn.execute(
                f"DELETE FROM {table} WHERE thread_id = ? AND (checkpoint_ns, checkpoint_id) NOT IN ({latest})",
                (thread_id, thread_id),
            )

    def _do(self, work: Callable[[], T], thread_id: str | None = None) -> T:
        return self.database.write(lambda db: self._fenced(db, work, thread_id))

    async def _ado(self, work: Callable[[], T], thread_id: str | None = None) -> T:
        return await self.database.awrite(lambda db: self._fenced(db, work, thread_id))

    def _fenced(self, db: sqlite3.Connection, work: Callable[[], T], thread_id: str | None) -> T:
        """Does the work unless another runner has taken the thread's task since this process last held it."""
        self.database.owner.check_last(db, thread_id or "")
        return work()


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])
