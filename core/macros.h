/// TENET_HD marks scalar maths that the CPU and CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define TENET_HD __host__ __device__
#else
/// Stands before a function that nvcc compiles for the CPU and the GPU.
#define TENET_HD
#endif
