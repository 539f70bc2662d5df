"""The supernet that fits a data set, in the form that suits the backend."""

from collections.abc import Callable
from typing import Literal

from jnas.training._supernet import Supernet
from jnas.training.data._dataset import Dataset
from jnas.training.networks._families import default_form
from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
from jnas.training.operations._forms import Form, dispatch_form, mixture_form, switch_form

_FORMS: dict[str, Callable[[], Form]] = {"switch": switch_form, "mixture": mixture_form, "dispatch": dispatch_form}


def make_supernet(
    dataset: Dataset,
    *,
    channels: int = 16,
    cells: int = 5,
    form: Literal["switch", "mixture", "dispatch"] | None = None,
) -> Supernet:
    """Returns the supernet of NAS-Bench-201 for a data set.

    Args:
      dataset: Says the size of the images and the number of classes.
      channels: Of the first stage; published searches have 16.
      cells: In each stage; published searches have 5.
      form: How one operation among five becomes a program; by default the fastest on this backend, a branch
        (`'switch'`) on CPUs, sorted batches (`'dispatch'`) elsewhere. See `jnas.training.train_many`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: The form is unknown, a size is not positive, or images are not multiples of 4 high and wide.
    """
    name = form or default_form()
    if name not in _FORMS:
        raise ValueError(f"form is {form!r}, expected one of {', '.join(_FORMS)}")
    return nasbench201_supernet(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=channels,
        cells=cells,
        form=_FORMS[name](),
    )
