"""The helper library of the book *Evaluating Large Language Models, from theory to practice*.

``import lleval_lib as ll`` gives every public name; ``__init__.pyi`` lists them with the module of
each. A module holds one idea, and is loaded when one of its names is first used, so that a chapter
without a model does not wait for PyTorch.
"""

import warnings

import lazy_loader

# transformers asks tqdm for a widget; where there is none, a plain bar does, and needs no warning.
warnings.filterwarnings("ignore", message="IProgress not found")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
