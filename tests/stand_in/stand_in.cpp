// A device of type CUDA in the memory of the host, for machines without one.
//
// Every operator runs as the CPU's, on the same memory, once all its tensors are found to be on this device: what a GPU
// refuses is refused here, and what it would compute is computed. Nothing is fast, and nothing is rounded otherwise.

#include <torch/extension.h>

#include <ATen/EmptyTensor.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

using at::Tensor;
using c10::Device;
using c10::DeviceType;
using c10::IValue;

namespace {

const Device HERE(DeviceType::CUDA, 0);
const c10::DispatchKeySet KEYS(c10::DispatchKey::CUDA);
constexpr size_t HEAD = 64;  // bytes before each block that hold its size; blocks begin where wide loads do
std::atomic<int64_t> live{0}, peak{0};

void drop(void* block) {
  if (!block) return;
  char* raw = static_cast<char*>(block) - HEAD;
  live -= *reinterpret_cast<int64_t*>(raw);
  std::free(raw);
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    char* raw = static_cast<char*>(std::aligned_alloc(HEAD, (size + HEAD - 1) / HEAD * HEAD + HEAD));
    TORCH_CHECK(raw, "out of memory");
    *reinterpret_cast<int64_t*>(raw) = static_cast<int64_t>(size);
    const int64_t now = (live += static_cast<int64_t>(size));
    for (int64_t was = peak; now > was && !peak.compare_exchange_weak(was, now);) {
    }
    return {raw + HEAD, raw + HEAD, &drop, HERE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &drop; }
  void copy_data(void* to, const void* from, std::size_t size) const override { std::memcpy(to, from, size); }
};
Allocator allocator;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  Device exchangeDevice(Device) const override { return HERE; }
  Device getDevice() const override { return HERE; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  c10::Stream getStream(Device) const override { return c10::Stream(c10::Stream::DEFAULT, HERE); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};

// The same memory as a tensor of the CPU.
Tensor on_host(const Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cuda()) return tensor;
  const auto options = tensor.options().device(at::kCPU).requires_grad(false);
  if (!tensor.numel()) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {}, options);
}

// A copy of a tensor of the CPU on this device.
Tensor on_device(const Tensor& tensor) {
  if (!tensor.defined() || tensor.is_cuda()) return tensor;
  const Tensor like = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
  Tensor copy = at::detail::empty_strided_generic(like.sizes(), like.strides(), &allocator, KEYS, like.scalar_type());
  on_host(copy).copy_(tensor);
  return copy;
}

using Type = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Where = std::optional<Device>;
using Format = std::optional<at::MemoryFormat>;

Tensor empty(at::IntArrayRef size, Type type, Layout, Where, std::optional<bool>, Format format) {
  return at::detail::empty_generic(size, &allocator, KEYS, c10::dtype_or_default(type), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, Type type, Layout, Where, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator, KEYS, c10::dtype_or_default(type));
}

Tensor reshape_alias(const Tensor& self, at::IntArrayRef size, at::IntArrayRef stride) {
  return at::native::as_strided_tensorimpl(self, size, stride, std::nullopt);
}

Tensor& set_storage(Tensor& self, at::Storage storage, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(storage);
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return self;
}

Tensor& set_tensor(Tensor& self, const Tensor& other) {
  return set_storage(self, other.storage(), other.storage_offset(), other.sizes(), other.strides());
}

const Tensor& make_larger(const Tensor& self, at::IntArrayRef size, Format) {
  if (self.sizes() == size) return self;
  Tensor fresh = empty(size, self.scalar_type(), {}, {}, {}, {});
  return set_tensor(const_cast<Tensor&>(self), fresh);
}

Tensor& copy(Tensor& self, const Tensor& other, bool) {
  on_host(self).copy_(on_host(other));
  return self;
}

at::Scalar item(const Tensor& self) { return on_host(self).item(); }

bool written(const c10::Argument& argument) { return argument.alias_info() && argument.alias_info()->isWrite(); }

void run_on_host(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const std::string& name = schema.name();
  const auto& wanted = schema.arguments();
  const std::vector<IValue> given = torch::jit::last(*stack, wanted.size()).vec();
  torch::jit::drop(*stack, wanted.size());
  const bool indices = name.find("index") != std::string::npos;  // which a GPU takes from the CPU too
  const auto moved = [&](const Tensor& tensor) {
    TORCH_CHECK(
        !tensor.defined() || tensor.is_cuda() || tensor.dim() == 0 || indices, "Expected all tensors to be on the same ",
        "device, but found at least two devices, cuda:0 and ", tensor.device(), "! (", name, ")");
    return on_host(tensor);
  };
  for (size_t i = 0; i < given.size(); i++) {
    const IValue& value = given[i];
    if (value.isTensor() && written(wanted[i]) && !value.toTensor().numel()) {
      stack->emplace_back(at::empty({0}, value.toTensor().options().device(at::kCPU)));  // it may be made larger
    } else if (value.isTensor()) {
      stack->emplace_back(moved(value.toTensor()));
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& tensor : value.toTensorVector()) list.push_back(moved(tensor));
      stack->emplace_back(list);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor> tensor : value.toOptionalTensorList())
        list.push_back(tensor ? std::optional<Tensor>(moved(*tensor)) : std::nullopt);
      stack->emplace_back(list);
    } else if (value.isDevice()) {
      stack->emplace_back(Device(at::kCPU));
    } else {
      stack->push_back(value);
    }
  }
  const std::vector<IValue> taken(stack->end() - given.size(), stack->end());
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  const std::vector<IValue> made = torch::jit::last(*stack, schema.returns().size()).vec();
  torch::jit::drop(*stack, made.size());
  for (size_t i = 0; i < made.size(); i++) {
    const c10::Argument& returned = schema.returns()[i];
    if (written(returned)) {  // what was given is what is returned
      for (size_t j = 0; j < given.size(); j++) {
        if (!written(wanted[j]) || wanted[j].alias_info()->beforeSets() != returned.alias_info()->beforeSets()) continue;
        const Tensor target = given[j].toTensor(), result = taken[j].toTensor();
        if (target.sizes() != result.sizes()) on_host(make_larger(target, result.sizes(), {})).copy_(result);
        stack->emplace_back(target);
      }
    } else if (made[i].isTensor()) {
      TORCH_CHECK(!returned.alias_info(), "the stand-in has no kernel for the view ", name);
      stack->emplace_back(on_device(made[i].toTensor()));
    } else if (made[i].isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& tensor : made[i].toTensorVector()) list.push_back(on_device(tensor));
      stack->emplace_back(list);
    } else {
      stack->push_back(made[i]);
    }
  }
}

}  // namespace

C10_REGISTER_GUARD_IMPL(CUDA, Guard)

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>()); }

// A build of torch for CUDA has kernels of its own, which no GPU would run here.
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  auto& all = c10::Dispatcher::singleton();
  for (const c10::OperatorName& name : all.getAllOpNames()) {
    const auto op = all.findOp(name);
    if (name.getNamespace() != "aten" || !op->hasKernelForDispatchKey(c10::DispatchKey::CUDA)) continue;
    const std::string own = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
    library.impl(own.c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
  }
}

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("unfold", TORCH_FN(at::native::unfold));
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("set_.source_Storage_storage_offset", &set_storage);
  library.impl("set_.source_Tensor", &set_tensor);
  library.impl("resize_", &make_larger);
  library.impl("copy_", &copy);
  library.impl("_local_scalar_dense", &item);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  c10::SetAllocator(DeviceType::CUDA, &allocator);
  module.def("live", [] { return live.load(); });
  module.def("peak", [] { return peak.load(); });
  module.def("forget_peak", [] { peak = live.load(); });
}
