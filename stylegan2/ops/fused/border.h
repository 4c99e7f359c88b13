// SPDX-License-Identifier: GPL-3.0-or-later
// What operators.py calls, in fused.cpp's library and in fused.cu's.
//
// Plain C at the border, so that neither Python's nor torch's headers are needed to build them.
// All tensors are contiguous float32, maps N x height x width x channels.  "Directions": R x N maps
// of g for N results, in this order.  The functions return 0, or CUDA's error.
#pragma once

#include <cstdint>

#ifdef _MSC_VER
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// How many threads compute on a CPU; which GPU computes, and in which stream.
struct Where {
    int threads, device;
    void *stream;
};

// What follows a convolution.  Members that may be null: noise, inside, convolved.
struct Activation {
    const float *factor; // O: demodulation and gain
    const float *bias;   // O, with the gain
    const float *noise;  // h' w' of each map, or of all
    int64_t noise_step;  // from one map's noise to the next one's; 0 if it is the same
    const float *inside; // N h' w', 1 inside the image
    float slope, clamp;  // the clamp is infinite without one
    float *result;       // N h' w' O
    float *convolved;    // the same shape: kept for the derivative
    int maps, height, width, channels;
};

// x: N h w C, scale: C, to tiles: 16 x (N tiles) x C.
EXPORT int fused_tiles(const float *x, const float *scale, float *tiles, int maps, int height,
                       int width, int channels, int padding, const Where *where);

// tiles: 16 x (R N tiles) x C, to g: R N h w C and, unless null, sums: R N x C, over the pixels, of
// what the scaled inputs are multiplied with, times the inputs given: N h w C.
EXPORT int fused_tiles_back(const float *tiles, const float *scale, const float *given, float *g,
                            float *sums, int directions, int maps, int height, int width,
                            int channels, int padding, const Where *where);

// products: 16 x (N tiles) x O, to the activation's result.
EXPORT int fused_outputs(const float *products, const Activation *activation, const Where *where);

// g: R N h' w' O, to products: 16 x (R N tiles) x O and, if the convolved were kept, sums: R N x O
// of what they are multiplied with, times themselves, over the pixels.
EXPORT int fused_outputs_back(const float *g, const Activation *activation, float *products,
                              float *sums, int directions, const Where *where);

// products: N h w 9 O, what each input pixel adds to the 3 x 3 of the transposed convolution T with
// stride two, to the activation's result: the low-pass filter of T from origins: N x 2 (x, y) on.
EXPORT int fused_widened(const float *products, const int *origins, const Activation *activation,
                         int height, int width, const Where *where);

// The transposed of fused_widened; g and sums as for fused_outputs_back, products: R N h w 9 O.
EXPORT int fused_widened_back(const float *g, const int *origins, const Activation *activation,
                              float *products, float *sums, int directions, int height, int width,
                              const Where *where);
