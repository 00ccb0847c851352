// A character model that learns its own source text, or the file that it is given: one causal
// attention block and one feed-forward block over windows of 64 bytes. Then it continues a prompt.
#include <tenet/tenet.h>

#include <fstream>
#include <iterator>

using namespace tenet;

namespace {

constexpr int64_t length = 64, width = 64, heads = 4, vocabulary = 128;

struct CharModel : nn::Module {
  nn::Embedding tokens{vocabulary, width, {.std = 0.1}};
  nn::LearnedPositionalEmbedding positions{length, width, 0.1};
  nn::LayerNorm norm1{width}, norm2{width}, norm3{width};
  nn::Linear qkv{width, 3 * width}, merge{width, width};
  nn::FeedForward feed_forward{{.d_model = width, .d_ff = 4 * width}};
  nn::Linear head{width, vocabulary};

  /// (B, L) bytes -> (B, L, V) logits of the byte after each.
  Tensor operator()(const Tensor& bytes) const {
    Tensor x = tokens(bytes) + positions(bytes.size(1));
    x = x + attend(norm1(x));
    x = x + feed_forward(norm2(x));
    return head(norm3(x));
  }
  void fields(nn::Fields& f) override {
    f("tokens", tokens), f("positions", positions), f("qkv", qkv), f("merge", merge);
    f("feed_forward", feed_forward), f("head", head);
    f("norm1", norm1), f("norm2", norm2), f("norm3", norm3);
  }

 private:
  Tensor attend(const Tensor& x) const {
    const int64_t batch = x.size(0), rows = x.size(1);
    Tensors parts;  // q, k, v, each (B, H, L, K)
    for (const Tensor& part : chunk(qkv(x), 3, -1)) {
      parts.push_back(transpose(reshape(part, {batch, rows, heads, width / heads}), 1, 2));
    }
    const Tensor y = attention(parts[0], parts[1], parts[2], {.causal = true});
    return merge(reshape(transpose(y, 1, 2), {batch, rows, width}));
  }
};

Tensor read_bytes(const std::string& path) {
  std::ifstream file(path);
  std::vector<int64_t> bytes;
  for (std::istreambuf_iterator<char> c(file), end; c != end; ++c) bytes.push_back(*c & 127);
  check(bytes.size() > length, "char_model: {} is missing or too short", path);
  return from_vector(bytes, {int64_t(bytes.size())});
}

std::string sample(const CharModel& model, std::string text, int64_t count) {
  const NoGrad scope;
  for (int64_t i = 0; i < count; ++i) {
    const std::string end = text.substr(text.size() - std::min<size_t>(text.size(), length));
    const std::vector<int64_t> bytes(end.begin(), end.end());
    const Tensor logits = model(from_vector(bytes, {1, int64_t(bytes.size())}));
    text += char(argmax(select(logits, 1, -1), -1).item<int64_t>());
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  set_seed(1);
  const std::string self = source_tree_root() + "/docs/examples/char_model.cpp";
  const Tensor text = read_bytes(argc > 1 ? argv[1] : self);
  const Tensor window = arange(length + 1);
  CharModel model;
  optim::Adam adam(model.parameters(), {.learning_rate = 3e-3});
  double bits = 0;
  for (int step = 1; step <= 150; ++step) {
    const Tensor start = randint({8, 1}, 0, text.size(0) - length);
    const Tensor batch = reshape(index_select(text, 0, reshape(start + window, {-1})), {8, -1});
    const Tensor loss =
        cross_entropy(model(slice(batch, 1, 0, length)), slice(batch, 1, 1, 1 << 20));
    backward(loss);
    adam.step();
    adam.clear_grad();
    bits = loss.item<double>() / std::log(2.0);
    if (step % 50 == 0) fmt::print("step {}: {:.2f} bits per character\n", step, bits);
  }
  fmt::print("{}\n", sample(model, "#include <", 60));
  return bits < 3.2 ? 0 : 1;  // a uniform guess costs 7 bits
}
