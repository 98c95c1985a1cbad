"""One cluster of Ray on this machine for the tests of a file."""

import sys

import pytest

from pocketvae.blocks.cluster import Cluster, connected


@pytest.fixture(scope="module")
def ray(request):
    """Ray, with CPUs for five workers. Jobs of the test's own module are sent to the workers by value."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with connected(Cluster(address="local", workers=5)) as module:
        module.cloudpickle.register_pickle_by_value(sys.modules[request.module.__name__])
        yield module
