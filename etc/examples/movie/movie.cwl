cwlVersion: v1.2
class: Workflow

label: Dam-break movie
doc: |
  Simulates a circular dam break in a closed basin, makes a movie of the waves, and draws a chart that shows
  that no water was lost.  The movie and the chart do not depend on each other and may be made side by side.

              /--> encode
      solve -<
              \--> plot

inputs:
  grid:
    label: Cells along each side of the basin
    type: int
    default: 128
  steps:
    label: Number of time steps
    type: int
    default: 400
  frame_every:
    label: Time steps from one frame to the next
    type: int
    default: 4
  framerate:
    label: Frames per second of the movie
    type: int
    default: 12
  size:
    label: Width x height of the movie
    type: string
    default: 800x800

steps:
  solve:
    label: Follow the waves
    run: solve.cwl
    in:
      grid: grid
      steps: steps
      frame_every: frame_every
    out: [frames, log]

  encode:
    label: Turn the frames into a movie
    run: ffmpeg.cwl
    in:
      frames: solve/frames
      framerate: framerate
      size: size
    out: [movie]

  plot:
    label: Draw the mass error
    run: plot.cwl
    in:
      log: solve/log
    out: [plot]

outputs:
  movie:
    label: The movie, H.264 in MP4
    type: File
    outputSource: encode/movie
  mass_plot:
    label: Chart of the greatest depth and the mass error
    type: File
    outputSource: plot/plot
  mass_log:
    label: Log of the solver, one line per time step
    type: File
    outputSource: solve/log
