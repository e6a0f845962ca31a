# Several processes in one document, of which the one named #second runs, with an $include.
cwlVersion: v1.2
$graph:
  - id: tool
    class: CommandLineTool
    requirements:
      InlineJavascriptRequirement: {expressionLib: [{$include: data/lib.js}]}
    baseCommand: echo
    inputs: {word: {type: string, inputBinding: {valueFrom: $(shout(self))}}}
    outputs: {o: stdout}
    stdout: said.txt
  - id: main
    class: Workflow
    inputs: []
    outputs: {o: {type: File, outputSource: s/o}}
    steps: {s: {run: '#tool', in: {word: {default: main}}, out: [o]}}
  - id: second
    class: Workflow
    inputs: {word: {type: string, default: second}}
    outputs: {o: {type: File, outputSource: s/o}}
    steps: {s: {run: '#tool', in: {word: word}, out: [o]}}
