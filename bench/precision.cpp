/// Loss curves of one model trained with products in f32, bf16 and f16 on the same batches of the
/// framework's source tree, and how far gradients of reversible layers are from those with
/// activations kept. Prints tables as Markdown and draws the curves.
#include <tenet/core/atomic_file.h>
#include <tenet/core/autograd.h>
#include <tenet/models/source_tree.h>
#include <tenet/models/text_model.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/loss_scaler.h>
#include <tenet/optim/schedule.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <numbers>

namespace {

using namespace tenet;

struct Flags {
  int64_t layers = 4, d_model = 256, heads = 4, d_ff = 1024, length = 1024, steps = 500, every = 50;
  std::string picture;
};

struct Type {
  const char* name;
  std::optional<DType> autocast;
  const char* color;
};
const std::array<Type, 3> types{
    {{"f32", {}, "#2f5d8a"}, {"bf16", DType::bf16, "#c4622d"}, {"f16", DType::f16, "#4b8b3b"}}};

ReformerConfig make_config(const Flags& flags, const char* residual = "exact") {
  ReformerConfig config =
      new_reformer_config(flags.layers, flags.d_model, flags.heads, flags.d_ff, flags.length);
  config.residual = residual;
  return config;
}

/// Bits per byte, the mean of each `every` steps.
struct Curve {
  std::vector<double> bits;
  int64_t skipped = 0;
};

Tensor loss_of(Reformer& model, const ByteText& text, const Flags& flags, int64_t step) {
  const BatchOptions batch{1, flags.length, model.config().byte_offset};
  const TokenTensors tensors = to_tensors(training_batch(text.train, batch, 1, step));
  default_generator() = Generator(1, static_cast<uint64_t>(step) + 1);
  return model.loss(tensors.input, tensors.target);
}

Curve train(const Type& type, const ByteText& text, const Flags& flags) {
  Reformer model(make_config(flags));
  optim::Adam optimizer(model.named_parameters(), {.learning_rate = 1e-3, .beta2 = 0.98});
  optim::StepGuard guard;
  optim::LossScaler scaler;
  const bool scales = type.autocast == DType::f16;
  const Autocast scope(type.autocast);
  Curve curve;
  double sum = 0;
  for (int64_t step = 0; step < flags.steps; ++step) {
    const Tensor loss = loss_of(model, text, flags, step);
    sum += loss.item<double>() / std::numbers::ln2;
    backward(scales ? scaler.scaled(loss) : loss);
    if (scales) scaler.unscale(optimizer.parameters());
    optimizer.set_learning_rate(optim::cosine(1e-3, 50, flags.steps, step));
    scaler.update(std::isfinite(guard.step(optimizer, 1.0)));
    optimizer.clear_grad();
    if ((step + 1) % flags.every > 0) continue;
    curve.bits.push_back(sum / static_cast<double>(flags.every));
    sum = 0;
  }
  curve.skipped = guard.skipped();
  return curve;
}

void print_curves(const std::array<Curve, types.size()>& curves, const Flags& flags) {
  fmt::print("| steps | f32 | bf16 | f16 | bf16 / f32 | f16 / f32 |\n|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < curves[0].bits.size(); ++i) {
    const auto at = [&](size_t type) { return curves[type].bits[i]; };
    fmt::print("| {} to {} | {:.4f} | {:.4f} | {:.4f} | {:.4f} | {:.4f} |\n",
               static_cast<int64_t>(i) * flags.every + 1, static_cast<int64_t>(i + 1) * flags.every,
               at(0), at(1), at(2), at(1) / at(0), at(2) / at(0));
  }
  fmt::print("\nskipped steps: f32 {}, bf16 {}, f16 {}\n\n", curves[0].skipped, curves[1].skipped,
             curves[2].skipped);
}

/// ||a - b|| / ||b|| of all gradients of one step with layers rebuilt and kept.
double reversal_error(const Type& type, const char* residual, const ByteText& text,
                      const Flags& flags) {
  Reformer model(make_config(flags, residual));
  const Autocast scope(type.autocast);
  const auto gradients = [&](bool reversible) {
    model.set_reversible(reversible);
    model.clear_grad();
    backward(loss_of(model, text, flags, 0));
    std::vector<double> all;
    for (const Tensor& p : model.parameters()) {
      for (const double x : p.grad().to_vector<double>()) all.push_back(x);
    }
    return all;
  };
  const std::vector<double> rebuilt = gradients(true), kept = gradients(false);
  double off = 0, norm = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    off += (rebuilt[i] - kept[i]) * (rebuilt[i] - kept[i]);
    norm += kept[i] * kept[i];
  }
  return std::sqrt(off / norm);
}

void print_reversal_errors(const ByteText& text, const Flags& flags) {
  fmt::print("| products in | exact residual | float residual |\n|---|---|---|\n");
  for (const Type& type : types) {
    fmt::print("| {} | {:.2g} | {:.2g} |\n", type.name, reversal_error(type, "exact", text, flags),
               reversal_error(type, "float", text, flags));
  }
}

void draw(const std::string& path, const std::array<Curve, types.size()>& curves,
          const Flags& flags) {
  const double width = 640, height = 360, margin = 50, top = 8.0;  // bits per byte
  const auto count = static_cast<double>(curves[0].bits.size());
  const auto x_of = [&](double i) { return margin + (width - 2 * margin) * (i + 0.5) / count; };
  const auto y_of = [&](double bits) {
    return height - margin - (height - 2 * margin) * bits / top;
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
  for (double bits = 0; bits <= top; bits += 2) {
    svg += fmt::format(
        "<path d=\"M{} {}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}"
        "</text>\n",
        margin, y_of(bits), width - margin, margin - 6, y_of(bits) + 4, bits);
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\">bits per byte over {} steps</text>\n", margin, 28,
                     flags.steps);
  for (size_t type = 0; type < types.size(); ++type) {
    svg += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" points=\"",
                       types[type].color, 7.5 - 3 * static_cast<double>(type));
    for (size_t i = 0; i < curves[type].bits.size(); ++i) {
      svg +=
          fmt::format("{:.1f},{:.1f} ", x_of(static_cast<double>(i)), y_of(curves[type].bits[i]));
    }
    svg += fmt::format("\"/>\n<text x=\"{}\" y=\"{}\" fill=\"{}\">{}</text>\n", width - 90,
                       60 + 16 * type, types[type].color, types[type].name);
  }
  atomic_write(path, svg + "</svg>\n");
}

void run(const Flags& flags) {
  const ByteText text = read_source_tree(TENET_SOURCE_DIR);
  print_reversal_errors(text, flags);
  fmt::print("\n");
  std::array<Curve, types.size()> curves;
  for (size_t i = 0; i < types.size(); ++i) curves[i] = train(types[i], text, flags);
  print_curves(curves, flags);
  if (!flags.picture.empty()) draw(flags.picture, curves, flags);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Loss curves in f32, bf16 and f16");
  app.add_option("--layers", flags.layers)->capture_default_str();
  app.add_option("--d-model", flags.d_model)->capture_default_str();
  app.add_option("--heads", flags.heads)->capture_default_str();
  app.add_option("--d-ff", flags.d_ff)->capture_default_str();
  app.add_option("--length", flags.length)->capture_default_str();
  app.add_option("--steps", flags.steps)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--every", flags.every, "steps of a mean")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--picture", flags.picture, "SVG file for the curves");
  CLI11_PARSE(app, argc, argv);
  try {
    run(flags);
  } catch (const std::exception& error) {
    fmt::print(stderr, "precision: {}\n", error.what());
    return 1;
  }
  return 0;
}
