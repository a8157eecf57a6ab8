"""The model and the index that are served now, and their replacement while they are."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.index_folder import generation_of
from vqmm.serving.metrics import Metrics
from vqmm.serving.model import ServedModel, versions_in
from vqmm.serving.settings import Settings

log = logging.getLogger("vqmm.serving")


class Pair(NamedTuple):
    """A model and an index of its codebook, or none."""

    model: ServedModel
    items: FaissIndex | None


class Service:
    """Serves the newest version of an export, and an index.

    A thread looks for newer ones. They are loaded and warmed beside those that serve, take
    their place at once for new requests, and the old go when their last request is
    answered. What cannot be loaded, or does not fit the other's codebook, is told in
    the log and left alone until it changes.

    Args:
        export: folder that `pipelines.export` left, or its `saved_model`.
        index: folder that `pipelines.index` left; None: no search.
        settings: limits.

    Raises:
        UserError: no export or index there, a damaged one, or an index of another codebook.
    """

    def __init__(
        self, export: str | Path, index: str | Path | None, settings: Settings | None = None
    ) -> None:
        export = Path(export)
        self.folder = export / "saved_model" if (export / "saved_model").is_dir() else export
        self.index_folder = None if index is None else Path(index)
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self.failed: dict[int, str] = {}
        self._users: dict[ServedModel, int] = {}
        self._change = threading.Condition()
        self._polling = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._passed_over: tuple[int, int | None] | None = None  # version and generation that did not serve
        found = versions_in(self.folder)
        if not found:
            raise UserError(f"{export} holds no SavedModel; pipelines.export --formats saved_model makes one")
        opened = None if self.index_folder is None else self._open_index()
        model = self._open_model(found[-1])
        if opened is not None and opened.fingerprint != model.fingerprint:
            model.close()
            raise UserError(
                f"{index} is of codebook {opened.fingerprint}, {self.folder / str(found[-1])} of "
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
            version = max(set(versions_in(self.folder)) - set(self.failed), default=before.model.version)
            newer = version != before.model.version
            generation = None if self.index_folder is None else generation_of(self.index_folder)
            changed = before.items is not None and generation not in (0, before.items.generation)
            if not (newer or changed) or self._passed_over == (version, generation):
                return False
            index = before.items
            try:
                index = self._open_index() if changed else index
                model = self._open_model(version) if newer else before.model
            except UserError as error:
                return self._pass_over(version, generation, "reload failed", str(error))
            if index is not None and index.fingerprint != model.fingerprint:
                if newer:
                    model.close()
                said = (
                    f"version {version} is of codebook {model.fingerprint}, the index of {index.fingerprint}"
                )
                return self._pass_over(version, generation, "held back", said)
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

    def _open_index(self) -> FaissIndex:
        if self.index_folder is None:
            raise UserError("there is no index to open")
        index = FaissIndex.open(self.index_folder)
        index.count()  # builds what searches need
        if warning := index.code_usage().warning:
            log.warning("few codes", extra={"facts": {"index": str(self.index_folder), "reason": warning}})
        return index

    def _open_model(self, version: int) -> ServedModel:
        try:
            model = ServedModel(
                self.folder / str(version),
                self.settings,
                lambda name, rows: self.metrics.batch_rows.labels(name).observe(rows),
            )
            model.warm()
        except Exception as error:  # damaged, or fails when warmed: noted, so that it is not tried again
            self.failed[version] = str(error)
            raise UserError(" ".join(str(error).split())) from None
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

    def _pass_over(self, version: int, generation: int | None, event: str, reason: str) -> bool:
        self._passed_over = version, generation
        self.metrics.reloads.labels(event).inc()
        log.error(event, extra={"facts": {"version": version, "reason": reason}})
        return False
