"""The parts of the comparison, in the order in which they are measured and shown."""
import dataclasses
from typing import Callable

from comparison import gpu, others, training


@dataclasses.dataclass(frozen=True)
class Part:
    title: str
    cases: Callable
    report: Callable


PARTS = {
    "training": Part("Training beside the Reformers of PyTorch", training.training_cases, training.training_report),
    "full": Part("Training beside full attention", training.full_cases, training.full_report),
    "memory": Part("Memory, and what saving it costs", training.memory_cases, training.memory_report),
    "generation": Part("Generation", others.generation_cases, others.generation_report),
    "figure5": Part("Time against length at constant tokens per step", training.figure5_cases, training.figure5_report),
    "exponent": Part("Exponent of time in length", training.exponent_cases, training.exponent_report),
    "roofline": Part("Fraction of the roofline", others.roofline_cases, others.roofline_report),
    "ops": Part("Single ops beside PyTorch", others.ops_cases, others.ops_report),
    "long": Part("Long sequences", training.long_cases, training.long_report),
    "gpu-training": Part("Training on a GPU at constant tokens", gpu.training_cases, gpu.training_report),
    "gpu-kernels": Part("Attention, products and copies on a GPU", gpu.kernels_cases, gpu.kernels_report),
    "gpu-ops": Part("Single ops on a GPU beside PyTorch", gpu.ops_cases, gpu.ops_report),
    "learning": Part("Learning per minute", others.learning_cases, others.learning_report),
}
