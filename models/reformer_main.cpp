/// The program `reformer`: train, evaluate, sample and inspect Reformer language models.
#include <tenet/core/cpu_level.h>
#include <tenet/core/error.h>
#include <tenet/core/version.h>
#include <tenet/models/detail/commands.h>

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  CLI::App app("Reformer language models over bytes: long sequences, little memory.");
  app.set_version_flag("--version", std::string("reformer ") + tenet::version() + ", " +
                                        tenet::cpu_level() + " kernels");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  int exit_code = 0;
  tenet::commands::add_train(app, exit_code);
  tenet::commands::add_eval(app);
  tenet::commands::add_generate(app);
  tenet::commands::add_info(app);
  tenet::commands::add_score(app);
  tenet::commands::add_bench(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    const std::string_view what = error.what();  // of the model, it begins with its name
    std::fprintf(stderr, "%s%s\n", what.starts_with("reformer: ") ? "" : "reformer: ", what.data());
    return 1;
  }
  // What train prints may be lost: its work is not.
  if (!app.got_subcommand("train") && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    std::fputs("reformer: standard output could not be written; is its disk full?\n", stderr);
    return 1;
  }
  return exit_code;
}
