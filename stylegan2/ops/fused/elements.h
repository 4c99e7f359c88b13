// SPDX-License-Identifier: GPL-3.0-or-later
// The arithmetic of one channel, for CPUs and for GPUs. It uses scalars only and no branches, so
// that a compiler can vectorise a loop over channels around each function.
//
// The algorithm and its letters are those of winograd.py: d to m to y, first along rows, then along
// columns, with the sign of the last kernel value in the kernel.
#pragma once

#ifndef __CUDACC_RTC__
#include <cstddef>
#include <math.h>
#endif

#include "border.h"

// A call that is not inlined would prevent the vectorisation of a loop.
#if defined(__CUDACC__)
#define FUSED_INLINE static __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define FUSED_INLINE static __forceinline
#else
#define FUSED_INLINE static inline __attribute__((always_inline))
#endif

// One pixel of a map, or of a window.
struct Pixel {
    float noise, inside;
    size_t at; // index of its first channel
};

FUSED_INLINE Pixel pixel_of(const Activation &a, int map, int y, int x) {
    const size_t pixel = (size_t)y * a.width + x, all = (size_t)a.height * a.width;
    const float noise = a.noise ? a.noise[map * a.noise_step + pixel] : 0.0f;
    const float inside = a.inside ? a.inside[map * all + pixel] : 1.0f;
    return {noise, inside, (map * all + pixel) * a.channels};
}

// Number of tiles, of two results each, along one axis.
FUSED_INLINE int tiles_along(int results) { return (results + 1) / 2; }

struct Four {
    float a, b, c, d;
};
struct Two {
    float a, b;
};

FUSED_INLINE Four from_inputs(float a, float b, float c, float d) {
    return {a - c, b + c, c - b, b - d};
}

// The adjoint of from_inputs.
FUSED_INLINE Four to_inputs(Four m) {
    return {m.a, m.b - m.c + m.d, m.b + m.c - m.a, -m.d};
}

FUSED_INLINE Two to_outputs(float a, float b, float c, float d) {
    return {a + b + c, b - c + d};
}

// The adjoint of to_outputs.
FUSED_INLINE Four from_outputs(float a, float b) {
    return {a, a + b, a - b, b};
}

// The low-pass filter [1, 3, 3, 1] along one axis, with the gain 2 of one axis.
FUSED_INLINE float low_pass(float a, float b, float c, float d) {
    return 0.25f * (a + d) + 0.75f * (b + c);
}

// The steps after a convolution; ``clamp`` is infinite for an unclamped layer.
FUSED_INLINE float activate(float convolved, float factor, float bias, float noise, float slope,
                            float clamp) {
    const float x = convolved * factor + (bias + noise);
    const float y = x > 0 ? x : x * slope;
    const float upper = y > clamp ? clamp : y;
    return upper < -clamp ? -clamp : upper;
}

// The cotangent of the convolved value for the cotangent g of the result. The sign and magnitude of
// the result show which branch of the leaky ReLU and of the clamp applied.
FUSED_INLINE float activate_back(float g, float result, float factor, float slope, float clamp) {
    const float leaky = result > 0 ? factor : factor * slope;
    const float inside = fabsf(result) < clamp ? leaky : 0.0f;
    return g * inside;
}
