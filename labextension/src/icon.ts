import { LabIcon } from '@jupyterlab/ui-components';

/** A box with a tick: packed and checked. The theme gives the colour. */
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24" aria-hidden="true">
  <g class="jp-icon3" fill="#616161">
    <path d="M12 1.6 2.5 6.4v11.2l9.5 4.8 9.5-4.8V6.4L12 1.6zm0 2.2 6.4 3.2L12 10.2 5.6 7 12 3.8zM4.5 8.7l6.5 3.2v7.6l-6.5-3.2V8.7zm15 7.6L13 19.5v-7.6l6.5-3.2v7.6z"/>
  </g>
</svg>`;

export const nbpackIcon = new LabIcon({ name: 'nbpack:bundle', svgstr: SVG });
