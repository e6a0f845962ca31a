# stdin, stdout and stderr, exit codes that mean success, shells, the environment, resources, a time limit.
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {file: {type: File, default: {class: File, location: data/words.txt}}}
outputs:
  out: {type: File, outputSource: streams/out}
  err: {type: File, outputSource: streams/err}
  unnamed: {type: int, outputSource: shell/size}
  shell_out: {type: File, outputSource: shell/o}
steps:
  streams:
    in: {file: file}
    out: [out, err]
    run:
      class: CommandLineTool
      requirements:
        InlineJavascriptRequirement: {}
        EnvVarRequirement: {envDef: {A: $(inputs.file.nameroot) and more, B: $("cores " + runtime.cores)}}
        ResourceRequirement: {coresMin: "$(inputs.file.size > 4 ? 2 : 1)", ramMin: $(inputs.file.size * 10)}
        ToolTimeLimit: {timelimit: $(inputs.file.size * 5)}
      baseCommand: [sh, -c, 'cat; echo "$A" "$B" $1; basename "$HOME" "$(pwd)" > /dev/null; echo wrong >&2; exit 7']
      arguments: [sh, $(runtime.cores)]
      inputs: {file: File}
      stdin: $(inputs.file.path)
      stdout: $(inputs.file.nameroot).out
      stderr: err/words.err
      successCodes: [0, 7]
      temporaryFailCodes: [8]
      outputs: {out: stdout, err: stderr}
  shell:
    in: {file: streams/out}
    out: [o, size]
    run:
      class: CommandLineTool
      requirements: {ShellCommandRequirement: {}, InlineJavascriptRequirement: {}}
      baseCommand: [cat]
      arguments:
        - {position: 2, valueFrom: '|', shellQuote: false}
        - {position: 3, valueFrom: 'sed -e', shellQuote: false}
        - {position: 4, valueFrom: 's/o n/$HOME;/'}
        - {position: 5, valueFrom: '&& echo "quoted words"', shellQuote: false}
      inputs: {file: {type: stdin}}
      outputs:
        o: stdout
        size: {type: int, outputBinding: {outputEval: $(inputs.file.size)}}
