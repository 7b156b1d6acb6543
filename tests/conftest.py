import os

os.environ["OMP_NUM_THREADS"] = "1"  # subprocesses inherit it; equality bit by bit needs one number of threads
os.environ["MKL_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)
