# A CWL v1.1 document that runs a v1.0 tool and a v1.2 one.
cwlVersion: v1.1
class: Workflow
requirements: {StepInputExpressionRequirement: {}}
inputs: {word: {type: string, default: one}}
outputs: {first: {type: File, outputSource: old/o}, second: {type: string, outputSource: new/o}}
steps:
  old:
    in: {word: word}
    out: [o]
    run:
      class: CommandLineTool
      hints: {WorkReuse: {enableReuse: false}, NetworkAccess: {networkAccess: true}, ToolTimeLimit: {timelimit: 60}}
      baseCommand: [echo]
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
      stdout: o.txt
  new: {run: join.cwl, in: {a: word, b: {source: old/o, valueFrom: $(self.size)}}, out: [o]}
