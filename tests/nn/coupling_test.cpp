/// Promise: whatever the order of forward and backward passes, gradients through released blocks in
/// exact mode equal those with activations kept, bit for bit.
#include "stack.h"

#include <tenet/nn/reversible_sequence.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("two forwards before one backward") {
  check_scenario([](Stack& stack) {
    const Tensor a = stack.loss(stack.all(stack.input()));
    const Tensor b = stack.loss(stack.all(stack.input(2)));
    backward(a + b);
    return stack.gradients();
  });
}

TEST_CASE("a block used twice") {
  check_scenario([](Stack& stack) {
    Tensors y = stack.block(0, stack.input());
    y = stack.block(1, std::move(y));
    y = stack.block(0, std::move(y));
    backward(stack.loss(stack.block(2, std::move(y))));
    return stack.gradients();
  });
}

TEST_CASE("three accumulated batches") {
  check_scenario([](Stack& stack) {
    for (uint64_t i = 1; i <= 3; ++i) backward(stack.loss(stack.all(stack.input(i))));
    return stack.gradients();
  });
}

TEST_CASE("a retained graph walked twice") {
  check_scenario([](Stack& stack) {
    const Tensor loss = stack.loss(stack.all(stack.input()));
    backward(loss, {.retain_graph = true});
    Tensors first = stack.gradients();
    backward(loss);
    for (const Tensor& sum : stack.gradients()) first.push_back(sum);
    return first;
  });
}

TEST_CASE("a relu and a view before the block") {
  check_scenario([](Stack& stack) {
    const Tensor h = relu(stack.leaf());
    const Shape flat{h.size(0) * h.size(1), h.size(2)};
    Tensors x{encode(h), view(encode(view(h, flat)), h.shape())};
    backward(stack.loss(stack.all(std::move(x))));
    return stack.gradients();
  });
}

TEST_CASE("a view that is kept keeps the bytes") {
  check_scenario([](Stack& stack) {
    Tensors y = stack.block(0, stack.input());
    const Tensor kept = slice(y[0], 1, 2, 5);
    backward(stack.loss(stack.rest(1, std::move(y))) + sum(decode(kept)));
    return stack.gradients();
  });
}

TEST_CASE("an input that needs no gradient") {
  check_scenario([](Stack& stack) {
    const NoGradInput fixed(stack);
    backward(stack.loss(stack.all(stack.input())));
    return stack.parameter_gradients();
  });
  check_scenario([](Stack& stack) {
    Tensors x{stack.input()[0], encode(normal({2, 8, 4}, 9))};
    backward(stack.loss(stack.all(std::move(x))));
    return stack.gradients();
  });
}

TEST_CASE("grad of one captured parameter") {
  for (size_t i : {0u, 3u, 7u}) {
    check_scenario([i](Stack& stack) {
      const Tensor loss = stack.loss(stack.all(stack.input()));
      return grad({loss}, {stack.parameters().at(i)});
    });
  }
}

TEST_CASE("a memory that two blocks capture") {
  check_scenario([](Stack& stack) {
    nn::Linear encoder(4, 4);
    const Tensor memory = tanh(encoder(stack.leaf()));
    stack.set_memory(memory);
    backward(stack.loss(stack.all(stack.input(2))));
    Tensors result = stack.gradients();
    for (const Tensor& p : encoder.parameters()) result.push_back(p.grad());
    return result;
  });
}

TEST_CASE("a loss on y_k after y_n is dropped") {
  check_scenario([](Stack& stack) {
    Tensors y = stack.block(1, stack.block(0, stack.input()));
    const Tensor loss = stack.loss(y);
    y = stack.rest(2, std::move(y));
    y.clear();
    backward(loss);
    return stack.gradients();
  });
}

TEST_CASE("a loss on y_k and on y_n") {
  check_scenario([](Stack& stack) {
    Tensors y = stack.block(1, stack.block(0, stack.input()));
    const Tensor inner = stack.loss(y);
    const Tensor outer = stack.loss(stack.rest(2, std::move(y)));
    backward(inner, {.retain_graph = true});
    backward(outer);
    return stack.gradients();
  });
}

TEST_CASE("y_n is dropped while a sibling of y_k lives") {
  for (size_t living : {0u, 1u}) {
    check_scenario([living](Stack& stack) {
      Tensors y = stack.block(1, stack.block(0, stack.input()));
      const Tensor sibling = y[living];
      y = stack.rest(2, std::move(y));
      y.clear();
      backward(sum(decode(sibling) * normal(sibling.shape(), 5)));
      return stack.gradients();
    });
  }
}

TEST_CASE("an exception inside the k-th inverse, then a second backward") {
  for (int k = 1; k <= 2 * Stack::depth; ++k) {
    check_scenario([k](Stack& stack) {
      const Tensor loss = stack.loss(stack.all(stack.input()));
      if (stack.releases()) {
        stack.fail_at_call(k);
        CHECK(error_text([&] { backward(loss, {.retain_graph = true}); }) == "the function failed");
        stack.clear_gradients();
      }
      backward(loss);
      return stack.gradients();
    });
  }
}

TEST_CASE("an exception inside the k-th inverse, then destruction") {
  const int64_t before = memory::stats(Device::cpu()).live;
  for (int k = 1; k <= 2 * Stack::depth; ++k) {
    Stack stack(Mode::released);
    const Tensor loss = stack.loss(stack.all(stack.input()));
    stack.fail_at_call(k);
    CHECK(error_text([&] { backward(loss); }) == "the function failed");
  }
  CHECK(memory::stats(Device::cpu()).live == before);
}

TEST_CASE("memory that runs out in the backward pass, then a second one") {
  for (int n = 0; n < 60; n += 3) {
    check_scenario([n](Stack& stack) {
      const Tensor loss = stack.loss(stack.all(stack.input()));
      if (stack.releases()) {
        detail::fail_allocation_after(n);
        CHECK_THROWS_AS(backward(loss, {.retain_graph = true}), OutOfMemory);
        detail::fail_allocation_after(-1);
        stack.clear_gradients();
      }
      backward(loss);
      return stack.gradients();
    });
  }
}

TEST_CASE("a second derivative, up to the order of sums") {
  const auto scenario = [](Mode mode) {
    Stack stack(mode, Part::smooth);
    const Tensor loss = stack.loss(stack.all(stack.input()));
    const Tensor dx = grad({loss}, {stack.leaf()}, {.create_graph = true})[0];
    backward(sum(square(dx)));
    return stack.gradients();
  };
  const Tensors a = scenario(Mode::released), b = scenario(Mode::kept);
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].defined() == b[i].defined());
    if (a[i].defined()) worst = std::max(worst, error_of(a[i], b[i].to_vector<double>()));
  }
  MESSAGE("second derivative: off by " << worst);
  CHECK(worst < 1e-6);
}

TEST_CASE("backward calls each function once more") {
  Stack stack(Mode::released);
  const Tensor loss = stack.loss(stack.all(stack.input()));
  CHECK(stack.calls() == 2 * Stack::depth);
  backward(loss);
  CHECK(stack.calls() == 4 * Stack::depth);
}

TEST_CASE("the activation peak of a retained backward does not grow with depth") {
  const auto peak = [](int depth) {
    Stack stack(Mode::released, Part::mixed, depth);
    const auto live = [] { return memory::stats(Device::cpu(), memory::Category::working); };
    const Tensor loss = stack.loss(stack.all(stack.input()));
    const int64_t before = live().live;
    memory::reset_peak();
    backward(loss, {.retain_graph = true});
    const int64_t after = live().live;
    stack.clear_gradients();
    backward(loss);
    CHECK(after == before);
    return live().peak - before;
  };
  const int64_t shallow = peak(2), deep = peak(32);
  MESSAGE("activation peak of a retained backward: depth 2 " << shallow << " B, depth 32 " << deep
                                                             << " B");
  CHECK(shallow == deep);
}

TEST_CASE("errors name the part") {
  nn::ReversibleSequence layers;
  for (int i = 0; i < 4; ++i) {
    auto f = std::make_shared<nn::Linear>(4, 4), g = std::make_shared<nn::Linear>(4, 4);
    if (i == 3) f->bias.mutable_data<float>()[1] = INFINITY;
    layers.add(f, g, "attention", "feed_forward");
  }
  CHECK(error_text([&] {
          layers(normal({2, 4}, 1));
        }) == "layers.3.attention: coupling_add: non-finite value at element 1 of (2, 4)");
  const auto widen = [](const Tensor& x) { return concatenate({x, x}, 1); };
  const auto same = [](const Tensor& x) { return x; };
  nn::AdditiveCoupling wide(widen, same), good(same, same, "layers.1");
  const Tensor x = encode(normal({2, 4}, 1));
  CHECK(error_text([&] {
          wide.forward({x, x});
        }) == "additive_coupling.f: the function gives shape (2, 8) for a stream of shape (2, 4)");
  CHECK(error_text([&] { good.forward({x}); }) == "layers.1: 1 streams, a coupling needs 2");
  CHECK(error_text([&] {
          good.forward({x, encode(normal({2, 3}, 1))});
        }) == "layers.1: the streams differ, fixed32 (2, 4) and fixed32 (2, 3)");
  CHECK(error_text([&] { nn::AdditiveCoupling({}, same); }) ==
        "additive_coupling: a function is empty");
}

TEST_CASE("the inverse of an exact coupling is exact") {
  Stack stack(Mode::kept);
  stack.evaluate();
  const NoGrad scope;
  const Tensors x{encode(normal({2, 8, 4}, 1)), encode(normal({2, 8, 4}, 2))};
  const Tensors back = stack.coupling(0)->inverse(stack.coupling(0)->forward(x));
  CHECK(same_bits(back[0], x[0]));
  CHECK(same_bits(back[1], x[1]));
}
