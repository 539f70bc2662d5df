"""What touches data: data sets, networks, training one architecture or many, and what a run leaves.

`train` is one run as a pure function, `train_many` a batch of them in one program; `run_jobs` makes any number of them
in a folder from which killed work goes on.
"""

from jnas.core._vocabulary import Decisions, Examples, Network, Point, Preferences, Supernet, Tap, Task, Weights
from jnas.training._recipe import RECIPES, Recipe, TextRecipe, get_recipe, make_optimizer
from jnas.training.data._augmentation import Augmentation, augment, normalize
from jnas.training.data._dataset import Dataset, dataset_from_arrays
from jnas.training.data._reduce import resized, subset
from jnas.training.data._sources import (
    CIFAR10,
    CIFAR100,
    IMAGENET16,
    NASBENCH101_CIFAR10,
    Settings,
    dataset_names,
    load_dataset,
)
from jnas.training.data._text import TextDataset, Vocabulary, text_dataset
from jnas.training.data._text_sources import load_text, text_names
from jnas.training.export._flax import from_flax, to_flax
from jnas.training.export._weights import TrainedNetwork, load_weights, save_weights
from jnas.training.networks._families import make_network, make_supernet
from jnas.training.networks.nasbench101._network import nasbench101_network
from jnas.training.networks.nasbench101._one_shot_supernet import nasbench1shot1_supernet
from jnas.training.networks.nasbench101._supernet import nasbench101_supernet
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
from jnas.training.networks.recurrent._language_model import language_model
from jnas.training.operations._forms import over_seeds
from jnas.training.proxies._combined import az_nas, concordant_share, rank_average, vote
from jnas.training.proxies._proxy import Proxy
from jnas.training.proxies._registry import PROXIES, proxy_names
from jnas.training.proxies._scores import proxy_scores
from jnas.training.runs._build import TablePlan, assemble_table, measure_seconds, plan_table
from jnas.training.runs._jobs import Jobs, Runs, describe, load_runs, open_folder, run_jobs
from jnas.training.runs._language import evaluate_text
from jnas.training.runs._run_state import Curves, RunState
from jnas.training.runs._train import begin_run, evaluate, run_epochs, train
from jnas.training.runs._train_many import train_many

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "IMAGENET16",
    "NASBENCH101_CIFAR10",
    "PROXIES",
    "RECIPES",
    "Augmentation",
    "Curves",
    "Dataset",
    "Decisions",
    "Examples",
    "Jobs",
    "Network",
    "Point",
    "Preferences",
    "Proxy",
    "Recipe",
    "RunState",
    "Runs",
    "Settings",
    "Supernet",
    "TablePlan",
    "Tap",
    "Task",
    "TextDataset",
    "TextRecipe",
    "TrainedNetwork",
    "Vocabulary",
    "Weights",
    "assemble_table",
    "augment",
    "az_nas",
    "begin_run",
    "concordant_share",
    "dataset_from_arrays",
    "dataset_names",
    "describe",
    "evaluate",
    "evaluate_text",
    "from_flax",
    "get_recipe",
    "language_model",
    "load_dataset",
    "load_runs",
    "load_text",
    "load_weights",
    "make_network",
    "make_optimizer",
    "make_supernet",
    "measure_seconds",
    "nasbench1shot1_supernet",
    "nasbench101_network",
    "nasbench101_supernet",
    "nasbench201_network",
    "nasbench201_supernet",
    "normalize",
    "open_folder",
    "over_seeds",
    "plan_table",
    "proxy_names",
    "proxy_scores",
    "rank_average",
    "resized",
    "run_epochs",
    "run_jobs",
    "save_weights",
    "subset",
    "text_dataset",
    "text_names",
    "to_flax",
    "train",
    "train_many",
    "vote",
]
