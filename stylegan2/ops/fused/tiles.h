// SPDX-License-Identifier: GPL-3.0-or-later
// What the loops for CPUs have in common: tiles of Winograd's algorithm, and storing results.
#pragma once

#include <algorithm>
#include <vector>

#include "lines.h"

static const float ZEROS[MOST_CHANNELS] = {};

// Returns zeroed memory of the thread, which its next task uses again.
inline float *zeroed(size_t size) {
    static thread_local std::vector<float> memory;
    memory.assign(size, 0.0f);
    return memory.data();
}

// Applies the activation to the convolved values of one pixel and stores the results.
FUSED_INLINE void put(const Activation &a, int map, int y, int x, int first, int channels,
                const float *values) {
    const Pixel pixel = pixel_of(a, map, y, x);
    const float *factor = a.factor + first, *bias = a.bias + first;
    float *result = a.result + pixel.at + first;
    EACH_CHANNEL result[c] = pixel.inside * activate(values[c], factor[c], bias[c], pixel.noise,
                                                     a.slope, a.clamp);
    if (a.convolved) std::copy_n(values, channels, a.convolved + pixel.at + first);
}

// The tile in row ``y`` and column ``x`` of the tiles of a map, for some channels of it.
struct Tile {
    int y, x, first, channels;
};

// Scales the inputs of a tile and transforms them to 16 values, which are ``step`` apart. The index
// of a value is 4 column + row, as in winograd.py.
FUSED_INLINE void tile_inputs(const float *map, int height, int width, int all, int padding, Tile tile,
                        const float *scale, float *to, size_t step) {
    const int channels = tile.channels;
    const float *from[16], *s = scale + tile.first;
    for (int k = 0; k < 16; ++k) {
        const int y = tile.y * 2 + k / 4 - padding, x = tile.x * 2 + k % 4 - padding;
        const bool is_inside = y >= 0 && y < height && x >= 0 && x < width;
        from[k] = is_inside ? map + ((size_t)y * width + x) * all + tile.first : ZEROS;
    }
    Rows m;
    for (int k = 0; k < 4; ++k) {
        line_from_inputs(from[k], from[4 + k], from[8 + k], from[12 + k], m.row[0][k], m.row[1][k],
                         m.row[2][k], m.row[3][k], channels);
    }
    for (int r = 0; r < 4; ++r) {
        float *row = m.row[r][0];
        for (int k = 0; k < 4; ++k, row += MOST_CHANNELS) EACH_CHANNEL row[c] *= s[c];
        line_from_inputs(m.row[r][0], m.row[r][1], m.row[r][2], m.row[r][3], to + r * step,
                         to + (4 + r) * step, to + (8 + r) * step, to + (12 + r) * step, channels);
    }
}

// Transforms the 16 products of a tile, which are ``step`` apart, to its results and stores them.
FUSED_INLINE void tile_outputs(const float *from, size_t step, const Activation &a, int map, Tile tile) {
    const int channels = tile.channels;
    float values[4][MOST_CHANNELS], lines[4][2][MOST_CHANNELS];
    for (int r = 0; r < 4; ++r) {
        line_to_outputs(from + r * step, from + (4 + r) * step, from + (8 + r) * step,
                        from + (12 + r) * step, lines[r][0], lines[r][1], channels);
    }
    for (int k = 0; k < 2; ++k) {
        line_to_outputs(lines[0][k], lines[1][k], lines[2][k], lines[3][k], values[k],
                        values[2 + k], channels);
    }
    for (int k = 0; k < 4; ++k) {
        const int y = tile.y * 2 + k / 2, x = tile.x * 2 + k % 2;
        if (y < a.height && x < a.width) put(a, map, y, x, tile.first, channels, values[k]);
    }
}
