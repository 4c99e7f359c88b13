// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a kernel of fused.cu on a CPU by its name, with the arguments as cuLaunchKernel takes them: the
// address of each.
#include <cstring>
#include <utility>

#include "fused.cu"

namespace {

template <typename... Parameters, size_t... Index>
void run(void (*kernel)(Parameters...), const cudaLaunchConfig_t &config, void **arguments,
         std::index_sequence<Index...>) {
    cudaLaunchKernelEx(&config, kernel, *(Parameters *)arguments[Index]...);
}

template <typename... Parameters>
void run(void (*kernel)(Parameters...), const cudaLaunchConfig_t &config, void **arguments) {
    run(kernel, config, arguments, std::index_sequence_for<Parameters...>());
}

} // namespace

extern "C" int launch_by_name(const char *name, const unsigned *grid, const unsigned *block,
                              void **arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid[0], grid[1], grid[2]);
    config.blockDim = dim3(block[0], block[1], block[2]);
#define TRY(kernel) \
    if (!std::strcmp(name, #kernel)) return run(kernel, config, arguments), 0
    TRY(tiles_kernel);
    TRY(tiles_back_kernel);
    TRY(outputs_kernel);
    TRY(outputs_back_kernel);
    TRY(widened_kernel);
    TRY(widened_back_kernel);
#undef TRY
    return 500; // CUDA's code for a name that is not found
}
