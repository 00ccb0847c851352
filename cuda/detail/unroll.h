/// TENET_UNROLL stands before a loop whose steps nvcc is to write out for the GPU.
#pragma once

#if defined(__CUDA_ARCH__)
#define TENET_UNROLL _Pragma("unroll")
#else
#define TENET_UNROLL
#endif
