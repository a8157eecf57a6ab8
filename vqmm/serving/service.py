"""The model and the index that are served now, and their replacement while they are."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vqmm.errors import UserError
from vqmm.plain_reason import plain_reason
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.index_folder import generation_of
from vqmm.serving.failed_loads import FailedLoads, Stamp, stamp_of
from vqmm.serving.metrics import Metrics
from vqmm.serving.model import ServedModel
from vqmm.serving.settings import Settings
from vqmm.serving.versions import versions_folder, versions_in

log = logging.getLogger("vqmm.serving")


class Pair(NamedTuple):
    """A model and an index of its codebook, or none."""

    model: ServedModel
    items: FaissIndex | None


class Service:
    """Serves the newest version of an export, and an index.

    A thread looks for newer ones. They are loaded and warmed beside those that serve, take
    their place at once for new requests, and the old go when their last request is
    answered. What cannot be loaded is logged, and tried again when its files change and
    after a growing wait. What does not fit the other's codebook is logged and left alone
    until it changes. A service starts with the newest version that can be loaded.

    Args:
        export: folder that `vqmm export` left, or its `saved_model`.
        index: folder that `vqmm index` left; None: no search.
        settings: limits.

    Raises:
        UserError: no export or index there, a damaged one, or an index of another codebook.
    """

    def __init__(
        self, export: str | Path, index: str | Path | None, settings: Settings | None = None
    ) -> None:
        self.folder = versions_folder(export)
        self.index_folder = None if index is None else Path(index)
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self.failed = FailedLoads(self.settings.poll_s)
        self._users: dict[ServedModel, int] = {}
        self._change = threading.Condition()
        self._polling = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._held_back: tuple[int, Stamp, int | None] | None = None  # of another codebook
        opened = None if self.index_folder is None else self._open_index()
        model = self._open_newest(versions_in(self.folder))
        if opened is not None and opened.fingerprint != model.fingerprint:
            model.close()
            raise UserError(
                f"{index} is of codebook {opened.fingerprint}, {self.folder / str(model.version)} of "
                f"{model.fingerprint}; index and export the same run"
            )
        self._pair = Pair(model, opened)
        self._told()

    @property
    def pair(self) -> Pair:
        """What serves now; `use` it where it must stay."""
        return self._pair

    @contextlib.contextmanager
    def use(self) -> Iterator[Pair]:
        """What serves now, kept until the block ends."""
        with self._change:
            pair = self._pair
            self._users[pair.model] = self._users.get(pair.model, 0) + 1
        try:
            yield pair
        finally:
            with self._change:
                self._users[pair.model] -= 1
                self._change.notify_all()

    def start(self) -> None:
        """Starts to look for newer versions."""
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    def poll(self) -> bool:
        """Looks for a newer version or index once, and takes it; whether there was one."""
        with self._polling:
            before = self._pair
            due = [v for v in versions_in(self.folder) if self.failed.is_due(v, self.folder / str(v))]
            version = max(due, default=before.model.version)
            newer = version != before.model.version
            generation = None if self.index_folder is None else generation_of(self.index_folder)
            changed = before.items is not None and generation not in (0, before.items.generation)
            changed = changed and self._index_is_due()
            if not (newer or changed):
                return False
            state = version, stamp_of(self.folder / str(version)), generation
            if state == self._held_back:
                return False
            index = before.items
            try:
                index = self._open_index() if changed else index
                model = self._open_model(version) if newer else before.model
            except UserError as error:
                return self._pass_over(version, "reload failed", str(error))
            if index is not None and index.fingerprint != model.fingerprint:
                if newer:
                    model.close()
                said = (
                    f"version {version} is of codebook {model.fingerprint}, the index of {index.fingerprint}"
                )
                self._held_back = state
                return self._pass_over(version, "held back", said)
            with self._change:
                self._pair = Pair(model, index)
            self._told()
            self.metrics.reloads.labels("taken").inc()
            log.info("reloaded", extra={"facts": {"version": model.version, "generation": generation}})
            if newer:
                self._retire(before.model)
            return True

    def close(self) -> None:
        """Answers what was accepted, then lets go of everything."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        self._retire(self._pair.model)

    def _watch(self) -> None:
        while not self._stop.wait(self.settings.poll_s):
            try:
                self.poll()
            except Exception:  # the service goes on with what it has
                log.exception("poll failed")

    def _open_newest(self, versions: list[int]) -> ServedModel:
        """The newest of some versions that can be loaded; why the newest cannot where none can."""
        reasons = []
        for version in reversed(versions):
            try:
                return self._open_model(version)
            except UserError as error:
                reasons.append(error)
        raise reasons[0]

    def _open_index(self) -> FaissIndex:
        if self.index_folder is None:
            raise UserError("there is no index to open")
        stamp = stamp_of(self.index_folder)
        try:
            index = FaissIndex.open(self.index_folder)
            index.count()  # builds what searches need
        except UserError as error:
            self.failed.add("index", self.index_folder, str(error), stamp)
            raise
        self.failed.forget("index")
        if warning := index.code_usage().warning:
            log.warning("few codes", extra={"facts": {"index": str(self.index_folder), "reason": warning}})
        return index

    def _index_is_due(self) -> bool:
        return self.index_folder is not None and self.failed.is_due("index", self.index_folder)

    def _open_model(self, version: int) -> ServedModel:
        folder = self.folder / str(version)
        stamp = stamp_of(folder)
        model = None
        try:
            model = ServedModel(
                folder,
                self.settings,
                lambda name, rows: self.metrics.batch_rows.labels(name).observe(rows),
            )
            model.warm()
        except Exception as error:  # damaged, half copied, or fails when warmed
            if model is not None:
                model.close()
            reason = plain_reason(error)
            wait = self.failed.add(version, folder, reason, stamp)
            facts = {"version": version, "reason": reason, "again_in_s": wait}
            log.error("version cannot be loaded", extra={"facts": facts})
            raise UserError(reason) from None
        self.failed.forget(version)
        return model

    def _retire(self, model: ServedModel) -> None:
        with self._change:
            self._change.wait_for(lambda: not self._users.get(model), self.settings.timeout_s)
            if not self._users.get(model):
                self._users.pop(model, None)
        model.close()

    def _told(self) -> None:
        self.metrics.version.set(self._pair.model.version)
        if self._pair.items is not None:
            for modality in ("audio", "image"):
                self.metrics.items.labels(modality).set(self._pair.items.count(modality))

    def _pass_over(self, version: int, event: str, reason: str) -> bool:
        self.metrics.reloads.labels(event).inc()
        log.error(event, extra={"facts": {"version": version, "reason": reason}})
        return False
