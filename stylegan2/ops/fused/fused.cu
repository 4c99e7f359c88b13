// SPDX-License-Identifier: GPL-3.0-or-later
// The steps before and after the matrix products of a layer, each in one pass over memory, for
// GPUs.
//
// A CUDA block computes 32 channels of one map or window, or of one of its cotangents; its 8 lanes
// share the pixels or tiles. One thread gathers every value, and sums over pixels are added up in a
// fixed order, so that the results do not depend on the order of the blocks. Kernels without sums
// use several blocks per map.
#ifndef __CUDACC_RTC__
#include <cuda_runtime.h>
#endif

#include "border.h"
#include "elements.h"

// NVRTC compiles the kernels only, which kernels.py launches by their names.
#ifdef __CUDACC_RTC__
#define KERNEL extern "C" __global__
namespace fused {
#else
#define KERNEL __global__
namespace {
#endif

const int CHANNELS = 32, LANES = 8, MOST_BLOCKS = 64;

// The work of a thread: the items lane, lane + lanes, … of one channel of one map.
struct Task {
    int map, channel, lane, lanes;
};

__device__ Task task_of_thread() {
    const int lane = blockIdx.z * LANES + threadIdx.y, lanes = gridDim.z * LANES;
    return {(int)blockIdx.y, (int)(blockIdx.x * CHANNELS + threadIdx.x), lane, lanes};
}

#ifndef __CUDACC_RTC__
// Launches a kernel for ``items`` of each map and for ``channels``. With ``together`` one block
// computes all items, which sums over them need.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), int maps, int channels, int items, bool together,
           const Where *where, Arguments... arguments) {
    const int wanted = (items + LANES - 1) / LANES;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((channels + CHANNELS - 1) / CHANNELS, maps,
                          together ? 1 : wanted < MOST_BLOCKS ? wanted : MOST_BLOCKS);
    config.blockDim = dim3(CHANNELS, LANES);
    config.stream = (cudaStream_t)where->stream;
    const cudaError_t error = cudaSetDevice(where->device);
    return error ? error : cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
#endif

// Adds up the parts of the lanes for each channel; all threads of a block must call it.
__device__ void add_up(float part, const Task &task, int channels, float *sums) {
    __shared__ float parts[LANES][CHANNELS];
    parts[threadIdx.y][threadIdx.x] = part;
    __syncthreads();
    if (threadIdx.y || task.channel >= channels) return;
    float sum = 0;
    for (int lane = 0; lane < LANES; ++lane) sum += parts[lane][threadIdx.x];
    sums[(size_t)task.map * channels + task.channel] = sum;
}

__device__ void store(Four m, float *to, size_t step) {
    to[0] = m.a;
    to[step] = m.b;
    to[2 * step] = m.c;
    to[3 * step] = m.d;
}

// Applies the activation to a convolved value and stores the result.
__device__ void put(const Activation &a, const Task &task, int y, int x, float convolved) {
    const Pixel pixel = pixel_of(a, task.map, y, x);
    const size_t at = pixel.at + task.channel;
    const float factor = a.factor[task.channel], bias = a.bias[task.channel];
    a.result[at] =
        pixel.inside * activate(convolved, factor, bias, pixel.noise, a.slope, a.clamp);
    if (a.convolved) a.convolved[at] = convolved;
}

// Returns the cotangent of a convolved value, which is 0 outside the results. Adds its product with
// the convolved value to ``sum`` if it was kept.
__device__ float take(const Activation &a, const float *g, const Task &task, int y, int x,
                      float *sum) {
    if (y < 0 || y >= a.height || x < 0 || x >= a.width) return 0;
    const Pixel pixel = pixel_of(a, task.map % a.maps, y, x);
    const size_t at = pixel.at + task.channel, all = (size_t)a.height * a.width;
    const float given = g[(task.map * all + (size_t)y * a.width + x) * a.channels + task.channel];
    const float factor = a.factor[task.channel];
    const float value =
        pixel.inside * activate_back(given, a.result[at], factor, a.slope, a.clamp);
    if (sum && a.convolved) *sum += value * a.convolved[at];
    return value;
}

KERNEL void tiles_kernel(const float *x, const float *scale, float *tiles, int height,
                             int width, int channels, int padding) {
    const Task task = task_of_thread();
    if (task.channel >= channels) return;
    const int down = tiles_along(height - 2 + 2 * padding);
    const int across = tiles_along(width - 2 + 2 * padding);
    const size_t step = (size_t)gridDim.y * down * across * channels;
    const float s = scale[task.channel];
    x += (size_t)task.map * height * width * channels + task.channel;
    tiles += (size_t)task.map * down * across * channels + task.channel;
    for (int tile = task.lane; tile < down * across; tile += task.lanes) {
        float d[4][4], rows[4][4];
        for (int k = 0; k < 16; ++k) {
            const int y = tile / across * 2 + k / 4 - padding;
            const int xx = tile % across * 2 + k % 4 - padding;
            const bool is_inside = y >= 0 && y < height && xx >= 0 && xx < width;
            d[k / 4][k % 4] = is_inside ? x[((size_t)y * width + xx) * channels] * s : 0.0f;
        }
        for (int k = 0; k < 4; ++k) {
            store(from_inputs(d[0][k], d[1][k], d[2][k], d[3][k]), &rows[0][k], 4);
        }
        // The index of the 16 values of a tile is 4 column + row, as in winograd.py.
        for (int r = 0; r < 4; ++r) {
            store(from_inputs(rows[r][0], rows[r][1], rows[r][2], rows[r][3]),
                  tiles + tile * (size_t)channels + r * step, 4 * step);
        }
    }
}

// An item is 2 x 2 pixels of the padded map, where up to four tiles overlap.
KERNEL void tiles_back_kernel(const float *tiles, const float *scale, const float *given,
                                  float *g, float *sums, int maps, int height, int width,
                                  int channels, int padding) {
    const Task task = task_of_thread();
    const int down = tiles_along(height - 2 + 2 * padding);
    const int across = tiles_along(width - 2 + 2 * padding);
    const size_t step = (size_t)gridDim.y * down * across * channels;
    const size_t size = (size_t)height * width * channels;
    const int quads = task.channel < channels ? (down + 1) * (across + 1) : 0;
    float total = 0;
    for (int quad = task.lane; quad < quads; quad += task.lanes) {
        const int row = quad / (across + 1), column = quad % (across + 1);
        float d[2][2] = {};
        for (int k = 0; k < 4; ++k) {
            const int ty = row - k / 2, tx = column - k % 2;
            if (ty < 0 || ty >= down || tx < 0 || tx >= across) continue;
            const size_t tile = ((size_t)task.map * down + ty) * across + tx;
            const float *from = tiles + tile * channels + task.channel;
            float rows[4][4];
            for (int r = 0; r < 4; ++r, from += step) {
                store(to_inputs({from[0], from[4 * step], from[8 * step], from[12 * step]}),
                      rows[r], 1);
            }
            for (int i = 0; i < 2; ++i) {
                const int c = k % 2 * 2 + i;
                const Four m = to_inputs({rows[0][c], rows[1][c], rows[2][c], rows[3][c]});
                d[0][i] += k / 2 ? m.c : m.a;
                d[1][i] += k / 2 ? m.d : m.b;
            }
        }
        for (int k = 0; k < 4; ++k) {
            const int y = 2 * row + k / 2 - padding, x = 2 * column + k % 2 - padding;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            const size_t at = ((size_t)y * width + x) * channels + task.channel;
            if (sums) total += d[k / 2][k % 2] * given[task.map % maps * size + at];
            g[task.map * size + at] = d[k / 2][k % 2] * scale[task.channel];
        }
    }
    if (sums) add_up(total, task, channels, sums);
}

KERNEL void outputs_kernel(const float *products, Activation a) {
    const Task task = task_of_thread();
    if (task.channel >= a.channels) return;
    const int down = tiles_along(a.height), across = tiles_along(a.width);
    const size_t step = (size_t)a.maps * down * across * a.channels;
    for (int tile = task.lane; tile < down * across; tile += task.lanes) {
        const size_t at = (size_t)task.map * down * across + tile;
        const float *from = products + at * a.channels + task.channel;
        Two rows[4];
        for (int r = 0; r < 4; ++r, from += step) {
            rows[r] = to_outputs(from[0], from[4 * step], from[8 * step], from[12 * step]);
        }
        const Two left = to_outputs(rows[0].a, rows[1].a, rows[2].a, rows[3].a);
        const Two right = to_outputs(rows[0].b, rows[1].b, rows[2].b, rows[3].b);
        const float values[4] = {left.a, right.a, left.b, right.b};
        for (int k = 0; k < 4; ++k) {
            const int y = tile / across * 2 + k / 2, x = tile % across * 2 + k % 2;
            if (y < a.height && x < a.width) put(a, task, y, x, values[k]);
        }
    }
}

KERNEL void outputs_back_kernel(const float *g, Activation a, float *products, float *sums) {
    const Task task = task_of_thread();
    const int down = tiles_along(a.height), across = tiles_along(a.width);
    const size_t step = (size_t)gridDim.y * down * across * a.channels;
    const int count = task.channel < a.channels ? down * across : 0;
    float total = 0;
    for (int tile = task.lane; tile < count; tile += task.lanes) {
        const int y = tile / across * 2, x = tile % across * 2;
        float left[4], right[4];
        const float upper = take(a, g, task, y, x, &total);
        store(from_outputs(upper, take(a, g, task, y + 1, x, &total)), left, 1);
        const float other = take(a, g, task, y, x + 1, &total);
        store(from_outputs(other, take(a, g, task, y + 1, x + 1, &total)), right, 1);
        const size_t at = (size_t)task.map * down * across + tile;
        float *to = products + at * a.channels + task.channel;
        for (int r = 0; r < 4; ++r) store(from_outputs(left[r], right[r]), to + r * step, 4 * step);
    }
    if (a.convolved) add_up(total, task, a.channels, sums);
}

// A pixel of the result of the transposed convolution, which has 2 height + 1 by 2 width + 1 pixels
// and is zero outside.
__device__ float widened_at(const float *products, int y, int x, int height, int width,
                            size_t channels) {
    float sum = 0;
    // An odd row gets values of the middle kernel row only, an even one of the first and the last;
    // columns likewise.
    for (int row = y & 1; row < 3; row += 2) {
        const int from_y = (y - row) >> 1;
        if (from_y < 0 || from_y >= height) continue;
        for (int column = x & 1; column < 3; column += 2) {
            const int from_x = (x - column) >> 1;
            if (from_x < 0 || from_x >= width) continue;
            const size_t pixel = (size_t)from_y * width + from_x;
            sum += products[(pixel * 9 + row * 3 + column) * channels];
        }
    }
    return sum;
}

KERNEL void widened_kernel(const float *products, const int *origins, Activation a, int height,
                               int width) {
    const Task task = task_of_thread();
    if (task.channel >= a.channels) return;
    products += (size_t)task.map * height * width * 9 * a.channels + task.channel;
    const int left = origins[2 * task.map], top = origins[2 * task.map + 1];
    for (int pixel = task.lane; pixel < a.height * a.width; pixel += task.lanes) {
        const int y = pixel / a.width, x = pixel % a.width;
        float lines[4];
        for (int r = 0; r < 4; ++r) {
            float t[4];
            for (int k = 0; k < 4; ++k) {
                t[k] = widened_at(products, y + top + r, x + left + k, height, width, a.channels);
            }
            lines[r] = low_pass(t[0], t[1], t[2], t[3]);
        }
        put(a, task, y, x, low_pass(lines[0], lines[1], lines[2], lines[3]));
    }
}

// Applies the adjoint of the low-pass filter to six values, for three adjacent outputs.
__device__ void low_pass_three(const float *from, float *to) {
    for (int k = 0; k < 3; ++k) to[k] = low_pass(from[k], from[k + 1], from[k + 2], from[k + 3]);
}

KERNEL void widened_back_kernel(const float *g, const int *origins, Activation a,
                                    float *products, float *sums, int height, int width) {
    const Task task = task_of_thread();
    const int map = task.map % a.maps, left = origins[2 * map], top = origins[2 * map + 1];
    const int count = task.channel < a.channels ? height * width : 0;
    for (int pixel = task.lane; pixel < count; pixel += task.lanes) {
        // A pixel in row p adds to the rows 2 p to 2 p + 2 of the transposed convolution. The
        // filter reads these for six rows of results, the first of which is y; columns likewise.
        const int y = 2 * (pixel / width) - top - 3, x = 2 * (pixel % width) - left - 3;
        float columns[3][6], found[3];
        for (int r = 0; r < 6; ++r) {
            float values[6];
            for (int k = 0; k < 6; ++k) values[k] = take(a, g, task, y + r, x + k, nullptr);
            low_pass_three(values, found);
            for (int k = 0; k < 3; ++k) columns[k][r] = found[k];
        }
        const size_t at = (size_t)task.map * height * width + pixel;
        float *to = products + at * 9 * a.channels + task.channel;
        for (int column = 0; column < 3; ++column) {
            low_pass_three(columns[column], found);
            for (int row = 0; row < 3; ++row) {
                to[(size_t)(row * 3 + column) * a.channels] = found[row];
            }
        }
    }
    if (!a.convolved) return;
    float total = 0;
    const int results = count ? a.height * a.width : 0;
    for (int pixel = task.lane; pixel < results; pixel += task.lanes) {
        take(a, g, task, pixel / a.width, pixel % a.width, &total);
    }
    add_up(total, task, a.channels, sums);
}

} // namespace

#ifndef __CUDACC_RTC__

int fused_tiles(const float *x, const float *scale, float *tiles, int maps, int height, int width,
                int channels, int padding, const Where *where) {
    const int down = tiles_along(height - 2 + 2 * padding);
    const int count = down * tiles_along(width - 2 + 2 * padding);
    return launch(tiles_kernel, maps, channels, count, false, where, x, scale, tiles, height, width,
                  channels, padding);
}

int fused_tiles_back(const float *tiles, const float *scale, const float *given, float *g,
                     float *sums, int directions, int maps, int height, int width, int channels,
                     int padding, const Where *where) {
    const int down = tiles_along(height - 2 + 2 * padding);
    const int quads = (down + 1) * (tiles_along(width - 2 + 2 * padding) + 1);
    return launch(tiles_back_kernel, directions, channels, quads, sums != nullptr, where, tiles,
                  scale, given, g, sums, maps, height, width, channels, padding);
}

int fused_outputs(const float *products, const Activation *activation, const Where *where) {
    const Activation &a = *activation;
    const int count = tiles_along(a.height) * tiles_along(a.width);
    return launch(outputs_kernel, a.maps, a.channels, count, false, where, products, a);
}

int fused_outputs_back(const float *g, const Activation *activation, float *products, float *sums,
                       int directions, const Where *where) {
    const Activation &a = *activation;
    const int count = tiles_along(a.height) * tiles_along(a.width);
    const bool together = a.convolved != nullptr;
    return launch(outputs_back_kernel, directions, a.channels, count, together, where, g, a,
                  products, sums);
}

int fused_widened(const float *products, const int *origins, const Activation *activation,
                  int height, int width, const Where *where) {
    const Activation &a = *activation;
    return launch(widened_kernel, a.maps, a.channels, a.height * a.width, false, where, products,
                  origins, a, height, width);
}

int fused_widened_back(const float *g, const int *origins, const Activation *activation,
                       float *products, float *sums, int directions, int height, int width,
                       const Where *where) {
    const Activation &a = *activation;
    return launch(widened_back_kernel, directions, a.channels, height * width,
                  a.convolved != nullptr, where, g, origins, a, products, sums, height, width);
}
#endif
