/// Promise: cached generation gives the logits of the full forward pass, to the bit, and what is
/// made of them is what the definitions of greedy choice and beam search say.
#include <recorded.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/generation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/views.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "scratch_folder.h"
#include "small_reformer.h"

using namespace tenet;
using namespace tenet::test;

namespace {

using Sequences = std::vector<std::vector<int64_t>>;

std::vector<int64_t> random_sequence(int64_t length, uint64_t seed) {
  return random_tokens({length}, seed).to_vector<int64_t>();
}

Tensor row_of(const std::vector<int64_t>& tokens) {
  return from_vector(tokens, {1, std::ssize(tokens)}, {DType::i64, test_device()});
}

/// A prompt of `prompt` tokens and then one at a time, against one call on all.
bool cached_equals_full(Reformer& model, int64_t length, int64_t prompt) {
  const NoGrad scope;
  model.eval();
  const Tensor tokens = random_tokens({2, length}, 11), want = model.logits(tokens);
  ReformerCache cache;
  for (int64_t first = 0; first < length;) {
    const int64_t count = first == 0 ? prompt : 1;
    const Tensor got = model.logits(slice(tokens, 1, first, first + count), {.cache = &cache});
    if (!same_bits(got, slice(want, 1, first, first + count))) return false;
    first += count;
  }
  return cache.length(0) == length && cache.length(1) == length;
}

/// The largest difference of cached logits from those of each whole row, over the standard
/// deviation of the logits: 8 rows with prompts of 1 to 71 tokens go on to `length` and less.
double ragged_error(Reformer& model, int64_t length) {
  const int64_t rows = 8, prompt = 71;
  const Tensor tokens = random_tokens({rows, length}, 6);
  std::vector<uint8_t> used;
  for (int64_t b = 0; b < rows; ++b) {
    for (int64_t i = 0; i < prompt; ++i) used.push_back(i <= b * 10);
  }
  const Tensor all = model.logits(tokens);
  const double deviation = std::sqrt(var(all.to(DType::f64)).item<double>());
  double worst = 0;
  ReformerCache cache;
  const auto row = [](const Tensor& x, int64_t b) { return slice(x, 0, b, b + 1); };
  const auto compare = [&](const Tensor& got) {
    for (int64_t b = 0; b < rows; ++b) {
      const Tensor want = select(row(all, b), 1, cache.length(b) - 1);
      worst = std::max(worst, max(abs(row(got, b) - want)).to(DType::f64).item<double>());
    }
  };
  compare(
      model.next_logits(slice(tokens, 1, 0, prompt),
                        {.mask = from_vector(used, {rows, prompt}, {DType::boolean, test_device()}),
                         .cache = &cache}));
  while (cache.length(rows - 1) < length) {
    Tensors next;
    for (int64_t b = 0; b < rows; ++b) {
      next.push_back(slice(row(tokens, b), 1, cache.length(b), cache.length(b) + 1));
    }
    compare(model.next_logits(concatenate(next, 0), {.cache = &cache}));
  }
  return worst / deviation;
}

SmallOptions with_attention(const std::string& attention, int64_t length = 64) {
  return {.attention = attention, .layers = 3, .length = length};
}

/// The log probability of `tokens` behind `prompt`.
double log_probability(Reformer& model, std::vector<int64_t> prompt,
                       const std::vector<int64_t>& tokens) {
  const NoGrad scope;
  double sum = 0;
  for (const int64_t token : tokens) {
    const auto log_p =
        log_softmax(select(model.next_logits(row_of(prompt)), 0, 0).to(DType::f64), 0)
            .to_vector<double>();
    sum += log_p[static_cast<size_t>(token)];
    prompt.push_back(token);
  }
  return sum;
}

}  // namespace

TEST_CASE("cached logits equal those of one call, to the bit") {
  for (const char* attention : {"lsh", "local", "full", "local,lsh,full"}) {
    CAPTURE(attention);
    Reformer model(small_config(with_attention(attention)));
    model.to(test_device());
    for (const int64_t prompt : {1, 7, 8, 33}) CHECK(cached_equals_full(model, 64, prompt));
    ReformerConfig config = small_config(with_attention(attention));
    config.residual = "float";
    config.axial_pos_embds = false;
    Reformer learned(config);
    learned.to(test_device());
    CHECK(cached_equals_full(learned, 60, 9));
  }
}

TEST_CASE("prompts of different lengths go on as each does alone") {
  const NoGrad scope;
  Reformer model(small_config(with_attention("local,lsh,full")));
  model.to(test_device());
  model.eval();
  const Sequences prompts{random_sequence(5, 1), random_sequence(30, 2), random_sequence(1, 3)};
  for (const double temperature : {0.0, 1.0}) {
    const GenerationOptions options{.tokens = 30, .temperature = temperature};
    Generator generator(4);
    const Sequences together = generate(model, prompts, options, generator);
    GenerationOptions anew = options;
    anew.cache = false;
    for (size_t row = 0; row < prompts.size(); ++row) {
      Generator own(4, row);
      CHECK(generate(model, {prompts[row]}, options, own)[0] == together[row]);
      Generator again(4, row);
      CHECK(generate(model, {prompts[row]}, anew, again)[0] == together[row]);
      CHECK(together[row].size() == 30);
    }
  }
}

TEST_CASE("a batch's logits are those of its rows, with and without a cache") {
  const NoGrad scope;
  Reformer model(small_config(with_attention("local,lsh,full")));
  model.to(test_device());
  model.eval();
  const Tensor tokens = random_tokens({3, 20}, 5);
  std::vector<uint8_t> used;
  const std::vector<int64_t> lengths{20, 1, 13};
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < 20; ++i) used.push_back(i < length);
  }
  const Tensor mask = from_vector(used, {3, 20}, {DType::boolean, test_device()});
  ReformerCache cache;
  const Tensor plain = model.next_logits(tokens, {.mask = mask});
  CHECK(same_bits(plain, model.next_logits(tokens, {.mask = mask, .cache = &cache})));
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    const Tensor alone = model.next_logits(slice(slice(tokens, 0, b, b + 1), 1, 0, length));
    CHECK(same_bits(alone, slice(plain, 0, b, b + 1)));
    CHECK(cache.length(b) == length);
  }
}

TEST_CASE("512 tokens after ragged prompts: the same bits in f32, close in bf16") {
  const NoGrad scope;
  double worst = 0;
  for (const char* attention : {"lsh", "local", "full", "local,lsh,full"}) {
    CAPTURE(attention);
    Reformer model(small_config(with_attention(attention, 600)));
    model.to(test_device());
    model.eval();
    CHECK(ragged_error(model, 512) == 0);
    const Autocast half(DType::bf16);
    worst = std::max(worst, ragged_error(model, 512));
  }
  MESSAGE("bf16: off by " << worst << " standard deviations of the logits");
  CHECK(worst <= 2e-2);
}

TEST_CASE("stop tokens and emit end a sequence, the others go on") {
  Reformer model(small_config(with_attention("local,lsh")));
  model.to(test_device());
  const Sequences prompts{random_sequence(5, 1), random_sequence(9, 2)};
  Generator generator(4);
  const Sequences free = generate(model, prompts, {.tokens = 20, .temperature = 0}, generator);
  const int64_t stop = free[0][7];
  const auto until = [&](const std::vector<int64_t>& row) {
    return std::vector<int64_t>(row.begin(), std::find(row.begin(), row.end(), stop));
  };
  std::map<int64_t, std::vector<int64_t>> emitted;
  const Sequences stopped =
      generate(model, prompts, {.tokens = 20, .temperature = 0, .stop = {stop}}, generator,
               [&](int64_t row, int64_t token) {
                 emitted[row].push_back(token);
                 return true;
               });
  for (size_t row = 0; row < 2; ++row) {
    CHECK(stopped[row] == until(free[row]));
    CHECK(emitted[static_cast<int64_t>(row)] == stopped[row]);
  }
  const Sequences cut = generate(model, prompts, {.tokens = 20, .temperature = 0}, generator,
                                 [&](int64_t row, int64_t) { return row == 1; });
  CHECK(cut[0].size() == 1);
  CHECK(cut[1] == free[1]);
}

TEST_CASE("beams as many as there are continuations find the most probable one") {
  ReformerConfig config = small_config(with_attention("local,lsh"));
  config.vocab_size = 32;
  Reformer model(config);
  model.to(test_device());
  model.eval();
  const std::vector<int64_t> prompt = random_sequence(6, 3);
  const TokenRange range{3, 4};
  for (const double penalty : {0.0, 1.0, 2.0}) {
    const int64_t stop = 5;
    double best = -INFINITY;
    std::vector<int64_t> want;
    const std::function<void(std::vector<int64_t>)> visit = [&](std::vector<int64_t> tokens) {
      const bool stopped = !tokens.empty() && tokens.back() == stop;
      if (stopped || tokens.size() == 3) {
        // Probabilities among the tokens that may be chosen.
        double sum = 0;
        std::vector<int64_t> before = prompt;
        for (const int64_t token : tokens) {
          double all = 0;
          for (int64_t t = range.first; t < range.first + range.count; ++t) {
            all += std::exp(log_probability(model, before, {t}));
          }
          sum += log_probability(model, before, {token}) - std::log(all);
          before.push_back(token);
        }
        const double score = sum / std::pow(static_cast<double>(tokens.size()), penalty);
        if (score > best) {
          best = score, want = tokens;
          if (stopped) want.pop_back();
        }
        return;
      }
      for (int64_t t = range.first; t < range.first + range.count; ++t) {
        std::vector<int64_t> longer = tokens;
        longer.push_back(t);
        visit(longer);
      }
    };
    visit({});
    GenerationOptions options{.tokens = 3, .stop = {stop}, .beams = 64, .range = range};
    options.length_penalty = penalty;
    for (const bool cache : {true, false}) {
      options.cache = cache;
      Generator generator(1);
      CHECK(generate(model, {prompt}, options, generator)[0] == want);
    }
  }
}

TEST_CASE("models with chunks are evaluated anew for every token") {
  ReformerConfig config = small_config(with_attention("local,lsh"));
  config.lsh_preset = "hugging_face", config.residual = "float";
  Reformer model(config);
  model.to(test_device());
  model.eval();
  CHECK_FALSE(ReformerCache().serves(config));
  const std::vector<int64_t> prompt = random_sequence(6, 3);
  Generator generator(1);
  const auto got = generate(model, {prompt}, {.tokens = 5, .temperature = 0}, generator)[0];
  std::vector<int64_t> all = prompt;
  const NoGrad scope;
  for (const int64_t token : got) {
    const auto logits = model.next_logits(row_of(all)).to_vector<double>();
    CHECK(std::max_element(logits.begin(), logits.end()) - logits.begin() == token);
    all.push_back(token);
  }
  ReformerCache cache;
  CHECK(error_of([&] { model.logits(row_of(prompt), {.cache = &cache}); }) ==
        "reformer: nothing can be kept of earlier tokens by preset hugging_face; evaluate the "
        "whole sequence");
}

TEST_CASE("an approximate cache gives what transformers gives with its own") {
  const NoGrad scope;
  for (const std::string name : {"decoder", "padded", "axial"}) {
    const std::string folder = reference_path("hugging_face/" + name);
    const std::unique_ptr<Reformer> model = load_model(folder);
    model->eval();
    const auto given = safetensors::load(folder + "/input.safetensors").tensors;
    const Tensor tokens = slice(given.at("input_ids"), 0, 0, 1);
    ReformerCall call;
    for (int64_t i = 0; i < model->config().layers(); ++i) {
      const auto rotation = given.find(fmt::format("rotation.{}", i));
      call.rotations.push_back(rotation == given.end() ? Tensor() : rotation->second);
    }
    for (const auto& [key, want] : safetensors::load(folder + "/cached.safetensors").tensors) {
      CAPTURE(name);
      CAPTURE(key);
      const int64_t prompt = std::stoll(key.substr(key.find('.') + 1));
      ReformerCache cache(true);
      call.cache = &cache;
      Tensors rows{model->next_logits(slice(tokens, 1, 0, prompt), call)};
      for (int64_t i = prompt; i < tokens.size(1); ++i) {
        rows.push_back(model->next_logits(slice(tokens, 1, i, i + 1), call));
      }
      const double error = recorded_error(concatenate(rows, 0), want);
      MESSAGE(name << " " << key << ": off by " << error);
      CHECK(error <= 1e-5);
    }
  }
}

TEST_CASE("what generation and its cache refuse") {
  Reformer model(small_config(with_attention("local,lsh")));
  model.to(test_device());
  Generator generator(1);
  const auto error = [&](const Sequences& prompts, const GenerationOptions& options) {
    return error_of([&] { generate(model, prompts, options, generator); });
  };
  CHECK(error({{1}, {}}, {.tokens = 1}) == "generate: prompt 1 is empty; give at least one token");
  CHECK(error({{1, 32}}, {.tokens = 1}) ==
        "generate: prompt 0 has token 32, the vocabulary 32 tokens");
  CHECK(error({{1, 2}}, {.tokens = 63}) ==
        "generate: the 2 tokens of prompt 0 and 63 new ones exceed the model's 64 positions; ask "
        "for 62 at most");
  CHECK(error({{1}}, {.tokens = 1, .beams = 0}) == "generate: 0 beams; at least 1 is needed");
  CHECK(error({{1}}, {.tokens = 1, .range = {30, 4}}) ==
        "generate: 4 tokens from 30 on may be chosen, of a vocabulary of 32");
  CHECK(error({{1}}, {.tokens = 1, .range = {1, INT64_MAX}}) ==
        "generate: 9223372036854775807 tokens from 1 on may be chosen, of a vocabulary of 32");
  CHECK(
      generate(model, {{1, 2}}, {.tokens = 1, .stop = {5}, .beams = INT64_MAX}, generator).size() ==
      1);
  ReformerCache cache;
  CHECK(error_of([&] { model.logits(row_of({1}), {.cache = &cache}); }) ==
        "reformer: a cache is for evaluation; call eval() and use NoGrad");
  const NoGrad scope;
  model.eval();
  model.logits(random_tokens({1, 64}, 1), {.cache = &cache});
  CHECK(error_of([&] { model.logits(row_of({1}), {.cache = &cache}); }) ==
        "reformer: row 0 gets 1 tokens after 64, the model has 64 positions");
  CHECK(error_of([&] {
          model.logits(random_tokens({2, 1}, 1), {.cache = &cache});
        }).starts_with("reformer: the cache holds 1 sequences of 3 layers"));
}
