#include <tenet/core/dtype.h>
#include <tenet/core/parallel.h>
#include <tenet/optim/sgd.h>

namespace tenet::optim {

Sgd::Sgd(NamedTensors parameters, SgdOptions options)
    : Optimizer(std::move(parameters), options.learning_rate, {"momentum"}), options_(options) {
  make_slots();
}

void Sgd::update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
                 int64_t) {
  dispatch(TypeList<float, double>(), parameter.dtype(), "sgd", [&]<class T>() {
    T* w = parameter.mutable_data<T>();
    const T* g = gradient.data<T>();
    T* b = slots[0].defined() ? slots[0].mutable_data<T>() : nullptr;
    const T rate = T(learning_rate()), momentum = T(options_.momentum), decay = T(options_.weight_decay);
    parallel_for(parameter.numel(), 16384, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T direction = g[i] + decay * w[i];
        if (b) direction = b[i] = momentum * b[i] + direction;
        w[i] -= rate * direction;
      }
    });
  });
}

}  // namespace tenet::optim
