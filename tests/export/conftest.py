"""What the tests of exports share."""

import importlib
import threading

import pytest

from pocketvae.export import external_pipeline, pipeline


@pytest.fixture
def in_process(monkeypatch):
    """Runs inspection and conversions here, one at a time."""
    # In a thread that did not import it, tf_keras 2.21 writes HDF5 under the name `.keras` from the second file on.
    importlib.import_module("tf_keras")
    from pocketvae.export.external.inspection import inspect_models
    from pocketvae.export.worker import Worker

    lock = threading.Lock()

    class Here:
        def __init__(self, folder, memory_limit_bytes, environment=None):
            self.folder, self.worker = folder, None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def _do(self, method, job):
            with lock:
                self.worker = self.worker or Worker(self.folder)
                return getattr(self.worker, method)(job)

        def load(self, job, time_limit_s):
            self._do("load", job)

        def prepare(self, job, time_limit_s):
            return self._do("prepare", job)

        def spread(self, job, time_limit_s):
            return self._do("spread", job)

        def convert(self, job, time_limit_s):
            return self._do("convert", job)

        def close(self, kill=False):
            pass

        def stop(self):
            pass

    monkeypatch.setattr(pipeline, "WorkerProcess", Here)
    monkeypatch.setattr(external_pipeline, "_inspect", lambda models, config: inspect_models(models))
