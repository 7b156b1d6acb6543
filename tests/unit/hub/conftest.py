import functools

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_registry():
    """The exporter reads the source of its 500 functions again for each export; here once is enough."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield
