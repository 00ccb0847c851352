"""Writes docs/examples/data/digits.safetensors from scikit-learn's copy of the data set. Run by hand, in the
repository's root."""
import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

digits = load_digits()
save_file(
    {"images": digits.images.astype(np.uint8), "labels": digits.target.astype(np.uint8)},
    "docs/examples/data/digits.safetensors",
    metadata={
        "source": "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), UCI Machine "
        "Learning Repository, doi:10.24432/C50P49; its test set, as distributed with scikit-learn",
        "licence": "CC BY 4.0",
    },
)
