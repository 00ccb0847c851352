/// The subcommands of the program `reformer`.
#pragma once

#include <CLI/CLI.hpp>

#include <tenet/core/detail/device_runtime.h>

namespace tenet::commands {

/// --device. A device that cannot be used is an Error when the command line is read.
inline void add_device(CLI::App& command, Device& device) {
  command
      .add_option_function<std::string>(
          "--device",
          [&device](const std::string& text) {
            device = parse_device(text);
            detail::select_device(device);
          },
          "where the work is done: cpu, cuda (the first GPU) or cuda:N")
      ->default_str("cpu");
}

/// Each adds a subcommand whose callback does the work and sets `exit_code`.
void add_train(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app);
void add_generate(CLI::App& app);
void add_info(CLI::App& app);
void add_score(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace tenet::commands
