// SPDX-License-Identifier: GPL-3.0-or-later
// The functions that operators.py calls, in the libraries of fused.cpp and of fused.cu.
//
// The interface is plain C, so that building needs neither the headers of Python nor of torch.
// All tensors are contiguous float32; maps are N x height x width x channels. g has cotangents: R
// for each of the N maps, R x N maps in this order; ``directions`` is R N. T is the number of tiles
// of N maps. The functions return 0 or the error code of CUDA.
#pragma once

#ifdef __CUDACC_RTC__ // has no headers of the system
typedef long long int64_t;
#else
#include <cstdint>
#endif

#ifdef _MSC_VER
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// On a CPU the number of threads; on a GPU the device and the stream.
struct Where {
    int threads, device;
    void *stream;
};

// The steps after a convolution. noise, inside and convolved may be null.
struct Activation {
    const float *factor; // O: demodulation and gain
    const float *bias;   // O, gain included
    const float *noise;  // h' w' for all maps, or N h' w'
    int64_t noise_step;  // distance between the noise of two maps; 0 if all maps share it
    const float *inside; // N h' w', 1 inside the image, 0 outside
    float slope, clamp;  // the clamp is infinite for an unclamped layer
    float *result;       // N h' w' O
    float *convolved;    // N h' w' O, the convolved values, needed for sums
    int maps, height, width, channels;
};

#ifndef __CUDACC_RTC__ // NVRTC compiles kernels only

// Only in the library for CPUs, and only of some compilers: a layer on whole maps x: N h w C, with
// scale: C and the activation. One that keeps the size, kernels: 16 x O / 32 x C x 32; and one that
// doubles it, kernels: 9 O / 32 x C x 32.
EXPORT int map_convolved(const float *x, const float *scale, const float *kernels,
                         const Activation *activation, int channels, const Where *where);
EXPORT int map_widened(const float *x, const float *scale, const float *kernels,
                       const Activation *activation, int channels, const Where *where);

// Only in the library for CPUs: the steps of Winograd's algorithm with tiles of 4 x 4 results, of
// which N maps have T. x * scale, x: N h w C, scale: C, to tiles: 36 x T x C; and products:
// 36 x T x O to outputs, with the activation. C and O are multiples of 32; ``step`` is the distance
// of two of the 36.
EXPORT int wide_tiles(const float *x, const float *scale, float *tiles, int64_t step, int maps,
                      int height, int width, int channels, const Where *where);
EXPORT int wide_outputs(const float *products, int64_t step, const Activation *activation,
                        const Where *where);

// Only in the library for CPUs: compares K patches of Q samples with what is looked for in each of N
// windows: N S S C. A sample lies between the pixel of pixels: N K Q and its neighbours to the right
// and below, at fractions: N K Q 2 (x, y). To costs: N K, the sum of the absolute differences from
// references: N Q C, and ``memory`` times those from first: N Q C.
EXPORT int patch_costs(const float *windows, const int *pixels, const float *fractions,
                       const float *references, const float *first, float memory, float *costs,
                       int count, int candidates, int samples, int side, int channels,
                       const Where *where);

// Transforms x * scale, x: N h w C, scale: C, to tiles: 16 x T x C.
EXPORT int fused_tiles(const float *x, const float *scale, float *tiles, int maps, int height,
                       int width, int channels, int padding, const Where *where);

// The adjoint: tiles: 16 x (R T) x C, to g: R N h w C, the cotangents of the inputs. If sums is not
// null, also to sums: R N x C, the cotangents of x * scale times the inputs given: N h w C, summed
// over the pixels.
EXPORT int fused_tiles_back(const float *tiles, const float *scale, const float *given, float *g,
                            float *sums, int directions, int maps, int height, int width,
                            int channels, int padding, const Where *where);

// Transforms products: 16 x T x O, to outputs, and applies the activation.
EXPORT int fused_outputs(const float *products, const Activation *activation, const Where *where);

// The vector-Jacobian products: g: R N h' w' O, to products: 16 x (R T) x O. If convolved is not
// null, also to sums: R N x O, the convolved values times their cotangents, summed over the pixels.
EXPORT int fused_outputs_back(const float *g, const Activation *activation, float *products,
                              float *sums, int directions, const Where *where);

// Adds up products: N h w 9 O, the 3 x 3 values of each input pixel, to the result of a transposed
// convolution with stride two; applies the low-pass filter to it, whose first output reads from the
// pixel origins: N x 2 (x, y) on; and applies the activation.
EXPORT int fused_widened(const float *products, const int *origins, const Activation *activation,
                         int height, int width, const Where *where);

// The vector-Jacobian products of fused_widened, to products: R N h w 9 O; g and sums are those of
// fused_outputs_back.
EXPORT int fused_widened_back(const float *g, const int *origins, const Activation *activation,
                              float *products, float *sums, int directions, int height, int width,
                              const Where *where);

#endif
