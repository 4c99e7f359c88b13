// SPDX-License-Identifier: GPL-3.0-or-later
// Comparison of many patches of a window with what is looked for, for CPUs.
//
// A task is one candidate: its samples are compared as soon as they are interpolated, and not
// stored. Each is computed by one thread in the same way.
#include <algorithm>

#include "lines.h"

int patch_costs(const float *windows, const int *pixels, const float *fractions,
                const float *references, const float *first, float memory, float *costs, int count,
                int candidates, int samples, int side, int channels, const Where *where) {
    const size_t right = (size_t)std::min(side - 1, 1) * channels, below = right * side;
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < count * candidates; ++task) {
        const size_t window = task / candidates, size = (size_t)samples * channels;
        const float *map = windows + window * side * side * channels;
        float cost = 0;
        for (int sample = 0; sample < samples; ++sample) {
            const size_t at = (size_t)task * samples + sample;
            const float *a = map + (size_t)pixels[at] * channels, *b = a + right;
            const float *d = a + below, *e = d + right;
            const float x = fractions[2 * at], y = fractions[2 * at + 1];
            const float *now = references + window * size + (size_t)sample * channels;
            const float *then = first + window * size + (size_t)sample * channels;
            float sum = 0;
#ifndef _MSC_VER
#pragma omp simd reduction(+ : sum)
#endif
            for (int c = 0; c < channels; ++c) {
                const float upper = a[c] + x * (b[c] - a[c]), lower = d[c] + x * (e[c] - d[c]);
                const float value = upper + y * (lower - upper);
                sum += fabsf(value - now[c]) + memory * fabsf(value - then[c]);
            }
            cost += sum;
        }
        costs[task] = cost;
    }
    return 0;
}
