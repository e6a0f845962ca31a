# A width and two conditions that depend on what tasks make, one of them of a subworkflow.
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}, SubworkflowFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {n: {type: int, default: 3}}
outputs:
  all: {type: File, outputSource: gather/o}
  maybe: {type: File?, outputSource: sub/o}
  never: {type: File?, outputSource: no/o}
steps:
  make:
    in: {n: n}
    out: [files]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'for i in $(seq $0); do echo $i > f$i.txt; done']
      inputs: {n: {type: int, inputBinding: {}}}
      outputs: {files: {type: 'File[]', outputBinding: {glob: 'f*.txt'}}}
  each:
    scatter: f
    in: {f: make/files}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
      stdout: o.txt
  gather:
    in: {f: each/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
      stdout: o.txt
  sub:
    when: $(inputs.f.size > 2)
    in: {f: gather/o}
    out: [o]
    run:
      class: Workflow
      inputs: {f: File}
      outputs: {o: {type: File, outputSource: c/o}}
      steps:
        c:
          in: {f: f}
          out: [o]
          run: {class: CommandLineTool, baseCommand: [sh, -c, 'wc -c < "$0"'], inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}, stdout: o.txt}
  no:
    when: $(inputs.f.size > 200)
    in: {f: gather/o}
    out: [o]
    run: {class: CommandLineTool, baseCommand: [sh, -c, 'wc -c < "$0"'], inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}, stdout: o.txt}
