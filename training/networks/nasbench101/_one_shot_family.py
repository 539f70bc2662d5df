"""The rows of NAS-Bench-1Shot1's spaces: supernets, whose cells are trained as those of NAS-Bench-101."""

from typing import Any

from jnas.core._vocabulary import FormName, Supernet
from jnas.training.networks._family import Family
from jnas.training.networks.nasbench101._one_shot_supernet import OneShotShared, nasbench1shot1_supernet


def _family(number: int) -> Family:
    def supernet(form: FormName, **sizes: Any) -> Supernet:
        assert form == "switch"
        return nasbench1shot1_supernet(number, **sizes)

    return Family(
        name=f"nasbench1shot1_{number}",
        network=None,
        forms=(),
        recipes=("small101-12", "nasbench101-108"),
        parameters=OneShotShared,
        supernet=supernet,
        supernet_forms=("switch",),
        searched=(16, 3),
    )


ONE_SHOT_FAMILIES = tuple(map(_family, (1, 2, 3)))
