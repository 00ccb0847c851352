/// The subcommands of the program `reformer`.
#pragma once

#include <CLI/CLI.hpp>

namespace tenet::commands {

/// Each adds a subcommand whose callback does the work and sets `exit_code`.
void add_train(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app);
void add_generate(CLI::App& app);
void add_info(CLI::App& app);
void add_score(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace tenet::commands
