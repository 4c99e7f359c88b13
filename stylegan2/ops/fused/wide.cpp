// SPDX-License-Identifier: GPL-3.0-or-later
// The steps before and after the matrix products of Winograd's algorithm with tiles of 4 x 4
// results, for CPUs. The algorithm and its letters are those of wide_winograd.py.
//
// A task is a row of tiles of one map. Its tiles are computed alike on every thread.
#include "tiles.h"

namespace {

// Results and inputs of a tile along one axis.
const int RESULTS = 4, INPUTS = 6;
// Channels that are computed at once: a number that the compiler knows.
const int CHUNK = 32;

#ifdef _MSC_VER
#define EACH_OF_CHUNK __pragma(loop(ivdep)) for (int c = 0; c < CHUNK; ++c)
#else
#define EACH_OF_CHUNK _Pragma("omp simd") for (int c = 0; c < CHUNK; ++c)
#endif

int wide_tiles_along(int results) { return (results + RESULTS - 1) / RESULTS; }

// Computes m from d along one axis, for the channels of a chunk.
FUSED_INLINE void line_to_factors(const float *const d[INPUTS], float *const m[INPUTS]) {
    EACH_OF_CHUNK {
        const float a = d[0][c], b = d[1][c], e = d[2][c], f = d[3][c], g = d[4][c], h = d[5][c];
        const float even = g - 4 * e, odd = f - 4 * b, far = g - e, twice = 2 * (f - b);
        m[0][c] = 4 * (a - e) + (g - e);
        m[1][c] = even + odd;
        m[2][c] = even - odd;
        m[3][c] = far + twice;
        m[4][c] = far - twice;
        m[5][c] = 4 * (b - f) + (h - f);
    }
}

// Computes y from the products m along one axis.
FUSED_INLINE void line_from_products(const float *const m[INPUTS], float *const y[RESULTS]) {
    EACH_OF_CHUNK {
        const float one = m[1][c] + m[2][c], other = m[1][c] - m[2][c];
        const float two = m[3][c] + m[4][c], twice = 2 * (m[3][c] - m[4][c]);
        y[0][c] = m[0][c] + one + two;
        y[1][c] = other + twice;
        y[2][c] = one + 4 * two;
        y[3][c] = other + 4 * twice + m[5][c];
    }
}

struct Square {
    float at[INPUTS][INPUTS][CHUNK];
};

void wide_tile_inputs(const float *map, int height, int width, int all, int tile_y, int tile_x,
                      int first, const float *scale, float *to, size_t step) {
    Square half;
    const float *s = scale + first;
    for (int column = 0; column < INPUTS; ++column) {
        const float *d[INPUTS];
        float *m[INPUTS];
        const int x = tile_x * RESULTS + column - 1;
        for (int row = 0; row < INPUTS; ++row) {
            const int y = tile_y * RESULTS + row - 1;
            const bool is_inside = y >= 0 && y < height && x >= 0 && x < width;
            d[row] = is_inside ? map + ((size_t)y * width + x) * all + first : ZEROS;
            m[row] = half.at[row][column];
        }
        line_to_factors(d, m);
    }
    for (int row = 0; row < INPUTS; ++row) {
        const float *d[INPUTS];
        float *m[INPUTS];
        for (int column = 0; column < INPUTS; ++column) {
            EACH_OF_CHUNK half.at[row][column][c] *= s[c];
            d[column] = half.at[row][column];
            m[column] = to + (INPUTS * row + column) * step;
        }
        line_to_factors(d, m);
    }
}

void wide_tile_outputs(const float *from, size_t step, const Activation &a, int map, int tile_y,
                       int tile_x, int first) {
    float half[RESULTS][INPUTS][CHUNK], values[RESULTS][RESULTS][CHUNK];
    for (int column = 0; column < INPUTS; ++column) {
        const float *m[INPUTS];
        float *y[RESULTS];
        for (int row = 0; row < INPUTS; ++row) m[row] = from + (INPUTS * row + column) * step;
        for (int row = 0; row < RESULTS; ++row) y[row] = half[row][column];
        line_from_products(m, y);
    }
    for (int row = 0; row < RESULTS; ++row) {
        const float *m[INPUTS];
        float *y[RESULTS];
        for (int column = 0; column < INPUTS; ++column) m[column] = half[row][column];
        for (int column = 0; column < RESULTS; ++column) y[column] = values[row][column];
        line_from_products(m, y);
    }
    for (int row = 0; row < RESULTS; ++row) {
        for (int column = 0; column < RESULTS; ++column) {
            const int y = tile_y * RESULTS + row, x = tile_x * RESULTS + column;
            if (y < a.height && x < a.width) put(a, map, y, x, first, CHUNK, values[row][column]);
        }
    }
}

} // namespace

int wide_tiles(const float *x, const float *scale, float *tiles, int64_t step, int maps, int height,
               int width, int all, const Where *where) {
    const int down = wide_tiles_along(height), across = wide_tiles_along(width);
#pragma omp parallel for schedule(dynamic) num_threads(where->threads)
    for (int task = 0; task < maps * down; ++task) {
        const float *from = x + (size_t)(task / down) * height * width * all;
        for (int column = 0; column < across; ++column) {
            float *to = tiles + ((size_t)task * across + column) * all;
            for (int first = 0; first < all; first += CHUNK)
                wide_tile_inputs(from, height, width, all, task % down, column, first, scale,
                                 to + first, step);
        }
    }
    return 0;
}

int wide_outputs(const float *products, int64_t step, const Activation *activation,
                 const Where *where) {
    const Activation &a = *activation;
    const int down = wide_tiles_along(a.height), across = wide_tiles_along(a.width);
#pragma omp parallel for schedule(dynamic) num_threads(where->threads)
    for (int task = 0; task < a.maps * down; ++task) {
        for (int column = 0; column < across; ++column) {
            const float *from = products + ((size_t)task * across + column) * a.channels;
            for (int first = 0; first < a.channels; first += CHUNK)
                wide_tile_outputs(from + first, step, a, task / down, task % down, column, first);
        }
    }
    return 0;
}
