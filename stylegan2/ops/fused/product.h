// SPDX-License-Identifier: GPL-3.0-or-later
// Products of small matrices, for compilers with GNU's vectors (GNU, Clang).
//
// A library for matrices is fastest with large ones. Here the factors and the product stay in the
// caches between the steps around them.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define HAS_PRODUCT 1

#include <cstddef>

// Columns of a panel. In the second factor, ``depth x columns``, the columns are in panels:
// ``columns / PANEL x depth x PANEL``.
const int PANEL = 32;

// Values of a register, and rows that are multiplied at once: as many as there are registers for.
#if defined(__AVX512F__)
#define LANE 16
const int ROWS = 8;
#elif defined(__AVX__)
#define LANE 8
const int ROWS = 3;
#else
#define LANE 4
const int ROWS = 3;
#endif
const int LANES = PANEL / LANE;

typedef float Lane __attribute__((vector_size(4 * LANE), aligned(4)));

// Multiplies R rows, ``step`` apart, by one panel.
template <int R>
inline void rows_times_panel(const float *a, const float *panel, int depth, float *to,
                             size_t to_step) {
    Lane sums[R][LANES];
    for (int r = 0; r < R; ++r)
        for (int l = 0; l < LANES; ++l) sums[r][l] = Lane{};
    for (int k = 0; k < depth; ++k, panel += PANEL) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const float factor = a[(size_t)r * depth + k];
#pragma GCC unroll 8
            for (int l = 0; l < LANES; ++l)
                sums[r][l] += factor * *(const Lane *)(panel + l * LANE);
        }
    }
    for (int r = 0; r < R; ++r, to += to_step)
        for (int l = 0; l < LANES; ++l) *(Lane *)(to + l * LANE) = sums[r][l];
}

// Computes a: rows x depth, times b: depth x columns in panels, to: rows x columns.
inline void multiply(const float *a, const float *b, int rows, int depth, int columns, float *to) {
    for (int first = 0; first < columns; first += PANEL, b += (size_t)depth * PANEL) {
        int row = 0;
        for (; row + ROWS <= rows; row += ROWS) {
            rows_times_panel<ROWS>(a + (size_t)row * depth, b, depth,
                                   to + (size_t)row * columns + first, columns);
        }
        for (; row < rows; ++row) {
            rows_times_panel<1>(a + (size_t)row * depth, b, depth,
                                to + (size_t)row * columns + first, columns);
        }
    }
}

#endif
