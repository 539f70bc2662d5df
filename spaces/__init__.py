"""Search spaces: encodings, fingerprints and features; nothing here trains."""

from jnas.spaces._categorical import categorical
from jnas.spaces._columns import with_columns
from jnas.spaces._drawn import save_drawing
from jnas.spaces._nasbench_graph import nasbench_graph, nasbench_graph_key
from jnas.spaces._nasbench_macro import nasbench_macro
from jnas.spaces._nats_size import nats_size
from jnas.spaces._registry import from_config, get, names, to_cell
from jnas.spaces._subset import subset
from jnas.spaces._transnas import transnas_macro, transnas_micro
from jnas.spaces.darts._cells import arch_of, genotype_of
from jnas.spaces.darts._cost import darts_flops, darts_parameters, genotype_cost
from jnas.spaces.darts._genotype import PUBLISHED as PUBLISHED_GENOTYPES
from jnas.spaces.darts._genotype import Genotype, format_genotype, parse_genotype
from jnas.spaces.darts._space import darts
from jnas.spaces.nasbench101._configurations import Configurations, decoded, nasbench101_configurations
from jnas.spaces.nasbench101._cost import nasbench101_flops, nasbench101_parameters
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._one_shot import nasbench1shot1_1, nasbench1shot1_2, nasbench1shot1_3
from jnas.spaces.nasbench101._released import reachable_cells, released_decisions
from jnas.spaces.nasbench101._space import nasbench101
from jnas.spaces.nasbench201._cells import nasbench201_classes
from jnas.spaces.nasbench201._cost import nasbench201_flops, nasbench201_parameters
from jnas.spaces.nasbench201._space import nasbench201
from jnas.spaces.recurrent._cells import RecurrentCell
from jnas.spaces.recurrent._cost import recurrent_cost, recurrent_flops, recurrent_parameters
from jnas.spaces.recurrent._genotype import (
    PUBLISHED_RECURRENT,
    RecurrentGenotype,
    format_recurrent,
    parse_recurrent,
)
from jnas.spaces.recurrent._space import recurrent

__all__ = [
    "PUBLISHED_GENOTYPES",
    "PUBLISHED_RECURRENT",
    "Configurations",
    "Genotype",
    "RecurrentCell",
    "RecurrentGenotype",
    "arch_of",
    "categorical",
    "darts",
    "darts_flops",
    "darts_parameters",
    "decoded",
    "format_genotype",
    "format_recurrent",
    "from_config",
    "genotype_cost",
    "genotype_of",
    "get",
    "names",
    "nasbench1shot1_1",
    "nasbench1shot1_2",
    "nasbench1shot1_3",
    "nasbench101",
    "nasbench101_cells",
    "nasbench101_configurations",
    "nasbench101_flops",
    "nasbench101_parameters",
    "nasbench201",
    "nasbench201_classes",
    "nasbench201_flops",
    "nasbench201_parameters",
    "nasbench_graph",
    "nasbench_graph_key",
    "nasbench_macro",
    "nats_size",
    "parse_genotype",
    "parse_recurrent",
    "reachable_cells",
    "recurrent",
    "recurrent_cost",
    "recurrent_flops",
    "recurrent_parameters",
    "released_decisions",
    "save_drawing",
    "subset",
    "to_cell",
    "transnas_macro",
    "transnas_micro",
    "with_columns",
]
