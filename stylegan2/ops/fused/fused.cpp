// SPDX-License-Identifier: GPL-3.0-or-later
// The steps before and after the matrix products of a layer, each in one pass over memory, for
// CPUs.
//
// A task is some channels of one map or window. One thread computes the whole task, including the
// sums over pixels, so that the results do not depend on the number of threads.
#include "border.h"
#include "tiles.h"

namespace {

// The division of maps and channels into tasks.
struct Tasks {
    int width, parts, count;

    Tasks(int maps, int channels) : width(MOST_CHANNELS) {
        while (width > 16 && maps * ((channels + width - 1) / width) < 4) width /= 2;
        parts = (channels + width - 1) / width;
        count = maps * parts;
    }
    int map(int task) const { return task / parts; }
    int first(int task) const { return task % parts * width; }
    int channels(int task, int all) const { return std::min(width, all - first(task)); }
};

// Writes the cotangents of the convolved values of one pixel to ``values``. If the convolved values
// were kept, adds their products with the cotangents to ``sums``.
void take(const Activation &a, const float *g, int direction, int y, int x, int first, int channels,
          float *values, float *sums) {
    const Pixel pixel = pixel_of(a, direction % a.maps, y, x);
    const size_t all = (size_t)a.height * a.width;
    const float *factor = a.factor + first, *result = a.result + pixel.at + first;
    g += (direction * all + (size_t)y * a.width + x) * a.channels + first;
    EACH_CHANNEL values[c] =
        pixel.inside * activate_back(g[c], result[c], factor[c], a.slope, a.clamp);
    if (!a.convolved) return;
    const float *convolved = a.convolved + pixel.at + first;
    EACH_CHANNEL sums[c] += values[c] * convolved[c];
}

// The input rows that reach one row of a transposed convolution with stride two: ``count`` of them
// from ``row`` on, the first with the row ``part`` of its 3 x 3 values, the next with ``part - 2``.
struct Span {
    int row, part, count;
};

Span span_of(int result, int height) {
    if (result < 0 || result > 2 * height) return {0, 0, 0};
    if (result % 2) return {result / 2, 1, 1};
    const int row = result / 2;
    if (row == 0) return {0, 0, 1};
    return {row - 1, 2, row < height ? 2 : 1};
}

// Adds a row of 3 x 3 values of the input pixels of one row to a row of the transposed convolution
// with a border of one pixel.
void add_row(const float *products, int row, int k, int width, int all, int channels, size_t part,
             float *to) {
    const float *from = products + ((size_t)row * width * 9 + 3 * k) * all;
    for (int x = 0; x < width; ++x, from += (size_t)9 * all, to += 2 * part) {
        for (int j = 0; j < 3; ++j) {
            const float *value = from + (size_t)j * all;
            float *sum = to + (j + 1) * part;
            EACH_CHANNEL sum[c] += value[c];
        }
    }
}

} // namespace

int fused_tiles(const float *x, const float *scale, float *tiles, int maps, int height, int width,
                int all, int padding, const Where *where) {
    const int down = tiles_along(height - 2 + 2 * padding);
    const int across = tiles_along(width - 2 + 2 * padding);
    const size_t step = (size_t)maps * down * across * all;
    const Tasks tasks(maps, all);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int map = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, all);
        const float *from = x + (size_t)map * height * width * all;
        for (int tile = 0; tile < down * across; ++tile) {
            const Tile at = {tile / across, tile % across, first, channels};
            float *to = tiles + ((size_t)map * down * across + tile) * all + first;
            tile_inputs(from, height, width, all, padding, at, scale, to, step);
        }
    }
    return 0;
}

int fused_tiles_back(const float *tiles, const float *scale, const float *given, float *g,
                     float *sums, int directions, int maps, int height, int width, int all,
                     int padding, const Where *where) {
    const int down = tiles_along(height - 2 + 2 * padding);
    const int across = tiles_along(width - 2 + 2 * padding);
    const size_t step = (size_t)directions * down * across * all, wide = 2 * across + 2;
    const Tasks tasks(directions, all);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int direction = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, all);
        const size_t part = tasks.width, line = wide * part;
        float *padded = zeroed((2 * down + 2) * line);
        for (int tile = 0; tile < down * across; ++tile) {
            const float *from = tiles + ((size_t)direction * down * across + tile) * all + first;
            float *to = padded + (tile / across) * 2 * line + (tile % across) * 2 * part;
            Rows d;
            for (int r = 0; r < 4; ++r) {
                line_to_inputs(from + r * step, from + (4 + r) * step, from + (8 + r) * step,
                               from + (12 + r) * step, d.row[r][0], d.row[r][1], d.row[r][2],
                               d.row[r][3], channels);
            }
            for (int k = 0; k < 4; ++k) {
                float *column = to + k * part;
                add_line_to_inputs(d.row[0][k], d.row[1][k], d.row[2][k], d.row[3][k], column,
                                   column + line, column + 2 * line, column + 3 * line, channels);
            }
        }
        float total[MOST_CHANNELS] = {};
        const float *s = scale + first;
        for (int pixel = 0; pixel < height * width; ++pixel) {
            const int y = pixel / width + padding, x = pixel % width + padding;
            const size_t size = (size_t)height * width;
            const float *from = padded + y * line + x * part;
            float *to = g + (direction * size + pixel) * all + first;
            if (sums) {
                const float *known = given + (direction % maps * size + pixel) * all + first;
                EACH_CHANNEL total[c] += from[c] * known[c];
            }
            EACH_CHANNEL to[c] = from[c] * s[c];
        }
        if (sums) std::copy_n(total, channels, sums + (size_t)direction * all + first);
    }
    return 0;
}

int fused_outputs(const float *products, const Activation *activation, const Where *where) {
    const Activation &a = *activation;
    const int down = tiles_along(a.height), across = tiles_along(a.width);
    const size_t step = (size_t)a.maps * down * across * a.channels;
    const Tasks tasks(a.maps, a.channels);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int map = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, a.channels);
        for (int tile = 0; tile < down * across; ++tile) {
            const size_t at = (size_t)map * down * across + tile;
            tile_outputs(products + at * a.channels + first, step, a, map,
                         {tile / across, tile % across, first, channels});
        }
    }
    return 0;
}

int fused_outputs_back(const float *g, const Activation *activation, float *products, float *sums,
                       int directions, const Where *where) {
    const Activation &a = *activation;
    const int down = tiles_along(a.height), across = tiles_along(a.width);
    const size_t step = (size_t)directions * down * across * a.channels;
    const Tasks tasks(directions, a.channels);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int direction = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, a.channels);
        float values[4][MOST_CHANNELS], total[MOST_CHANNELS] = {};
        float left[4][MOST_CHANNELS], right[4][MOST_CHANNELS];
        for (int tile = 0; tile < down * across; ++tile) {
            for (int k = 0; k < 4; ++k) {
                const int y = tile / across * 2 + k / 2, x = tile % across * 2 + k % 2;
                if (y < a.height && x < a.width)
                    take(a, g, direction, y, x, first, channels, values[k], total);
                else
                    std::fill_n(values[k], channels, 0.0f);
            }
            float *to = products + ((size_t)direction * down * across + tile) * a.channels + first;
            line_from_outputs(values[0], values[2], left[0], left[1], left[2], left[3], channels);
            line_from_outputs(values[1], values[3], right[0], right[1], right[2], right[3],
                              channels);
            for (int r = 0; r < 4; ++r) {
                line_from_outputs(left[r], right[r], to + r * step, to + (4 + r) * step,
                                  to + (8 + r) * step, to + (12 + r) * step, channels);
            }
        }
        float *sum = sums + (size_t)direction * a.channels + first;
        if (a.convolved) std::copy_n(total, channels, sum);
    }
    return 0;
}

int fused_widened(const float *products, const int *origins, const Activation *activation,
                  int height, int width, const Where *where) {
    const Activation &a = *activation;
    const Tasks tasks(a.maps, a.channels);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int map = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, a.channels);
        // t is the result of the transposed convolution with a border of one zero pixel. Only the
        // four rows of it are kept that the filter reads, so that they stay in the cache.
        const size_t part = tasks.width, line = (2 * width + 3) * part;
        float *rows = zeroed(6 * line), *filtered = rows + 4 * line, *values = filtered + line;
        const float *from = products + (size_t)map * height * width * 9 * a.channels + first;
        const int left = origins[2 * map] + 1, top = origins[2 * map + 1] + 1;
        for (int y = -3; y < a.height; ++y) {
            float *newest = rows + (y + 3) % 4 * line;
            std::fill_n(newest, line, 0.0f);
            const Span span = span_of(y + top + 2, height);
            for (int k = 0; k < span.count; ++k) {
                add_row(from, span.row + k, span.part - 2 * k, width, a.channels, channels, part,
                        newest);
            }
            if (y < 0) continue;
            const float *p = rows + y % 4 * line, *q = rows + (y + 1) % 4 * line;
            const float *r = rows + (y + 2) % 4 * line;
            EACH(line) filtered[i] = low_pass(p[i], q[i], r[i], newest[i]);
            const float *f = filtered + left * part;
            EACH(a.width * part) values[i] =
                low_pass(f[i], f[part + i], f[2 * part + i], f[3 * part + i]);
            for (int x = 0; x < a.width; ++x)
                put(a, map, y, x, first, channels, values + x * part);
        }
    }
    return 0;
}

int fused_widened_back(const float *g, const int *origins, const Activation *activation,
                       float *products, float *sums, int directions, int height, int width,
                       const Where *where) {
    const Activation &a = *activation;
    const Tasks tasks(directions, a.channels);
#pragma omp parallel for schedule(static) num_threads(where->threads)
    for (int task = 0; task < tasks.count; ++task) {
        const int direction = tasks.map(task), first = tasks.first(task);
        const int channels = tasks.channels(task, a.channels);
        const size_t part = tasks.width, line = (2 * width + 3) * part;
        float *t = zeroed((2 * height + 3 + a.height) * line), *lines = t + (2 * height + 3) * line;
        float values[MOST_CHANNELS], total[MOST_CHANNELS] = {};
        const int *origin = origins + 2 * (direction % a.maps);
        for (int y = 0; y < a.height; ++y) {
            for (int x = 0; x < a.width; ++x) {
                take(a, g, direction, y, x, first, channels, values, total);
                float *p = lines + y * line + (x + origin[0] + 1) * part;
                EACH_CHANNEL {
                    p[c] += 0.25f * values[c];
                    p[part + c] += 0.75f * values[c];
                    p[2 * part + c] += 0.75f * values[c];
                    p[3 * part + c] += 0.25f * values[c];
                }
            }
            for (int x = 0; x < 2 * width + 3; ++x) {
                const float *from = lines + y * line + x * part;
                float *p = t + (y + origin[1] + 1) * line + x * part;
                EACH_CHANNEL {
                    p[c] += 0.25f * from[c];
                    p[line + c] += 0.75f * from[c];
                    p[2 * line + c] += 0.75f * from[c];
                    p[3 * line + c] += 0.25f * from[c];
                }
            }
        }
        for (int pixel = 0; pixel < height * width; ++pixel) {
            const int y = pixel / width, x = pixel % width;
            const size_t at = ((size_t)direction * height * width + pixel) * 9 * a.channels + first;
            for (int k = 0; k < 9; ++k) {
                const float *from = t + (2 * y + 1 + k / 3) * line + (2 * x + 1 + k % 3) * part;
                std::copy_n(from, channels, products + at + (size_t)k * a.channels);
            }
        }
        float *sum = sums + (size_t)direction * a.channels + first;
        if (a.convolved) std::copy_n(total, channels, sum);
    }
    return 0;
}
