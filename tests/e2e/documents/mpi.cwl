cwlVersion: v1.2
class: Workflow
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
requirements: {ScatterFeatureRequirement: {}}
inputs:
  ranks: {type: 'int[]', default: [1, 2]}
outputs:
  said: {type: 'File[]', outputSource: ranks/said}
steps:
  ranks:
    scatter: ranks
    in: {ranks: ranks}
    out: [said]
    run:
      class: CommandLineTool
      requirements:
        cwltool:MPIRequirement: {processes: $(inputs.ranks)}
        ResourceRequirement: {coresMin: 2}
        EnvVarRequirement: {envDef: {GREETING: "hello, ranks"}}
      baseCommand: [sh, -c, 'echo "$GREETING: $SLURM_PROCID of $SLURM_NTASKS, $SLURM_CPUS_PER_TASK, $HOME"']
      inputs: {ranks: int}
      outputs: {said: stdout}
      stdout: said.txt
