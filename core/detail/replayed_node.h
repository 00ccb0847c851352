/// What reversible and checkpointed nodes share: a function that is run again in the backward pass.
#pragma once

#include <tenet/core/detail/capture.h>
#include <tenet/core/replay.h>
#include <tenet/core/reversible.h>

#include <functional>

namespace tenet::detail {

/// The node whose function is being replayed on this thread, for replay_grad().
class ReplayedNode : public Node {
 public:
  using Function = std::function<Tensors(const Tensors&)>;

  std::vector<Saved> captured;
  size_t input_count = 0;

  /// Runs `f` outside the graph on detached inputs, noting in `record` and `captured` what it takes
  /// from outside.
  Tensors run_forward(const std::string& name, ReplayRecord& record, const Tensors& x,
                      const Function& f);
  /// Makes `y` the outputs if anything needs a gradient and one of them can have one; else returns
  /// false.
  bool attach(Tensors& y);
  /// The one whose Frame is innermost on this thread, or null.
  static const ReplayedNode* current();

 protected:
  /// Replays on this thread while it lives.
  class Frame {
   public:
    Frame(const ReplayedNode& node, ReplayRecord& record);
    ~Frame();
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    const ReplayedNode* previous_;
    ReplayScope replay_;
    Autocast autocast_;
    TraceSpan span_;
  };

  void check_captured() const;
  /// dy with zeros where no gradient came.
  Tensors filled(Tensors dy) const;
  /// The gradient of f at x as part of the outer graph, for second derivatives.
  Tensors differentiate_replay(ReplayRecord& record, Tensors x, const Tensors& dy,
                               const Function& f);
};

/// Lets the replay of a function start again from its first value while it lives.
class ReplayRestart {
 public:
  ReplayRestart();
  ~ReplayRestart();
  ReplayRestart(const ReplayRestart&) = delete;
  ReplayRestart& operator=(const ReplayRestart&) = delete;

 private:
  std::vector<std::pair<uint64_t, size_t>> positions_;
};

}  // namespace tenet::detail
