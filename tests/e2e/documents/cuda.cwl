cwlVersion: v1.2
class: CommandLineTool
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
requirements:
  cwltool:CUDARequirement: {cudaVersionMin: "11.4", cudaComputeCapability: "3.0", cudaDeviceCountMin: 2}
arguments: [sh, -c, 'echo "$0 $CUDA_VISIBLE_DEVICES"', $(runtime.cudaDeviceCount)]
inputs: []
outputs: {said: stdout}
stdout: said.txt
