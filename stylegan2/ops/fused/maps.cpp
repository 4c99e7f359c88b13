// SPDX-License-Identifier: GPL-3.0-or-later
// Layers on whole maps, matrix products included, for CPUs and for compilers with GNU's vectors.
//
// A part of a map goes through all steps of a layer before the next part begins, so that what is
// between the steps stays in the cache of a core. Each part is computed by one thread in the same
// way, so that the results do not depend on the number of threads.
#include "border.h"
#include "product.h"
#include "tiles.h"

#ifdef HAS_PRODUCT

namespace {

// How many values of the factors and products of a part stay in the cache of a core.
const size_t CACHED = 1 << 18;

// Returns memory of the thread with any content, which its next part uses again.
float *scratch(size_t size) {
    static thread_local std::vector<float> memory;
    if (memory.size() < size) memory.resize(size);
    return memory.data();
}

// The rows of a transposed convolution with stride two, computed from one row of inputs after the
// other. Each has a border of one pixel; only as many are kept as the low-pass filter reads.
class Widened {
  public:
    Widened(const float *x, const float *scale, const float *kernels, int height, int width,
            int depth, int channels)
        : x(x), scale(scale), kernels(kernels), height(height), width(width), depth(depth),
          channels(channels), line((size_t)(2 * width + 3) * channels) {
        const size_t row = (size_t)width * depth, values = (size_t)width * 9 * channels;
        lines = zeroed(9 * line + row + values);
        scaled = lines + 9 * line;
        products = scaled + row;
    }

    // Returns row ``y``, after the rows above it; it is valid for the next three rows.
    const float *row(int y) {
        if (y < 0 || y > 2 * height) return lines + 8 * line; // always zero
        if (next < 0) next = std::max(0, (y - 1) / 2);
        while (next <= std::min(y / 2, height - 1)) add(next++);
        return lines + y % 8 * line;
    }

  private:
    // Adds what a row of inputs contributes to three rows.
    void add(int input) {
        const float *from = x + (size_t)input * width * depth;
        for (int p = 0; p < width; ++p)
            EACH(depth) scaled[p * depth + i] = from[p * depth + i] * scale[i];
        multiply(scaled, kernels, width, depth, 9 * channels, products);
        for (int k = 0; k < 3; ++k) {
            float *to = lines + (2 * input + k) % 8 * line;
            if (k || input == 0) std::fill_n(to, line, 0.0f);
            const size_t count = 3 * (size_t)channels;
            for (int p = 0; p < width; ++p) {
                const float *value = products + (3 * (size_t)p + k) * count;
                float *sum = to + (size_t)(2 * p + 1) * channels;
                EACH(count) sum[i] += value[i];
            }
        }
    }

    const float *x, *scale, *kernels;
    int height, width, depth, channels, next = -1;
    size_t line;
    float *lines, *scaled, *products;
};

} // namespace

int map_convolved(const float *x, const float *scale, const float *kernels,
                  const Activation *activation, int depth, const Where *where) {
    const Activation &a = *activation;
    const int across = tiles_along(a.width), count = tiles_along(a.height) * across;
    const size_t per_tile = 16 * (size_t)(depth + a.channels);
    const int most = std::max(ROWS, (int)(CACHED / per_tile) / ROWS * ROWS);
    const int parts = (count + most - 1) / most;
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < a.maps * parts; ++task) {
        const int map = task / parts, begin = task % parts * most;
        const int tiles = std::min(most, count - begin);
        const float *from = x + (size_t)map * a.height * a.width * depth;
        const size_t in_step = (size_t)tiles * depth, out_step = (size_t)tiles * a.channels;
        float *inputs = scratch(16 * (in_step + out_step)), *products = inputs + 16 * in_step;
        for (int t = 0; t < tiles; ++t) {
            // As many channels as a panel has: a number that the compiler knows.
            Tile tile = {(begin + t) / across, (begin + t) % across, 0, PANEL};
            for (; tile.first < depth; tile.first += PANEL) {
                tile_inputs(from, a.height, a.width, depth, 1, tile, scale,
                            inputs + (size_t)t * depth + tile.first, in_step);
            }
        }
        for (int k = 0; k < 16; ++k) {
            multiply(inputs + k * in_step, kernels + (size_t)k * depth * a.channels, tiles, depth,
                     a.channels, products + k * out_step);
        }
        for (int t = 0; t < tiles; ++t) {
            Tile tile = {(begin + t) / across, (begin + t) % across, 0, PANEL};
            for (; tile.first < a.channels; tile.first += PANEL) {
                tile_outputs(products + (size_t)t * a.channels + tile.first, out_step, a, map,
                             tile);
            }
        }
    }
    return 0;
}

int map_widened(const float *x, const float *scale, const float *kernels,
                const Activation *activation, int depth, const Where *where) {
    const Activation &a = *activation;
    const int height = a.height / 2, width = a.width / 2;
    const int parts = std::min(where->threads, height);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < a.maps * parts; ++task) {
        const int map = task / parts, part = task % parts;
        const size_t size = (size_t)height * width * depth, step = a.channels;
        Widened rows(x + map * size, scale, kernels, height, width, depth, a.channels);
        const size_t line = (size_t)(2 * width + 3) * step;
        float *filtered = scratch(2 * line), *values = filtered + line;
        for (int y = a.height * part / parts; y < a.height * (part + 1) / parts; ++y) {
            const float *p = rows.row(y - 1), *q = rows.row(y), *r = rows.row(y + 1);
            const float *s = rows.row(y + 2), *f = filtered;
            EACH(line) filtered[i] = low_pass(p[i], q[i], r[i], s[i]);
            EACH(a.width * step) values[i] =
                low_pass(f[i], f[step + i], f[2 * step + i], f[3 * step + i]);
            for (int v = 0; v < a.width; ++v)
                for (int first = 0; first < a.channels; first += PANEL)
                    put(a, map, y, v, first, PANEL, values + v * step + first);
        }
    }
    return 0;
}

#endif
